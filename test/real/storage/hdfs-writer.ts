/**
 * Writes an object to a backend and says how far it is, until it is killed. Arguments: the settings of a kind hdfs as JSON,
 * a key, the object's size.
 */
import { hdfsSchema } from '../../../platform/backends/hdfs/config.ts';
import { HdfsBackend } from '../../../platform/backends/hdfs/hdfs.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { Generated } from './generated.ts';

const [settings = '', key = '', size = ''] = process.argv.slice(2);
const log = createLog({ role: 'origin', level: 'silent', name: '' });
const opening = { name: 'main', stallMs: 30_000, env: {}, clock: realClock, log };
await using backend = new HdfsBackend(hdfsSchema.parse(JSON.parse(settings)), opening);
const source = new Generated(Number(size)).source();
const telling = {
  ...source,
  async *read(start: number, end: number, signal: AbortSignal) {
    let at = start;
    for await (const chunk of source.read(start, end, signal)) {
      yield chunk;
      at += chunk.length;
      process.stdout.write(`${at}\n`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
};
await backend.write(key, telling, new AbortController().signal);
