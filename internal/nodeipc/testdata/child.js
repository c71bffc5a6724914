// What a child of the app sees of us.
'use strict';
process.send([process.execArgv.length, process.listenerCount('internalMessage') - 1]); // one is Node's own
