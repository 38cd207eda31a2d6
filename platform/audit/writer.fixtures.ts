/** A process that writes an audit log until it is killed: FILE and a name; prints the request id of each entry that was acknowledged. */

import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { AuditLog } from './log.ts';

const [, , file = '', name = ''] = process.argv;
const audit = await AuditLog.open(
  { file, maxBytes: 20_000, keep: 1_000, required: true },
  { log: silentLog(), metrics: new Metrics() },
);
const write = async (lane: number): Promise<void> => {
  for (let no = 0; ; no++) {
    const requestId = `${name}-${lane}-${no}`;
    await audit.write({ what: 'push', result: 'done', who: { requestId }, repo: 'a' });
    process.stdout.write(`${requestId}\n`);
  }
};
await Promise.all([0, 1, 2, 3].map(write));
