import common, { name } from './index.js';
import path from 'node:path';
export default path.basename(import.meta.url);
export const named = common.name === name;
export const fromCommon = name;
