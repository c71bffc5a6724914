<?php
echo 'instance ', getenv('NODE_APP_INSTANCE'), ' process ', getmypid(), "\n";
