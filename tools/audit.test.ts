import { expect, test } from 'vitest';
import { type Accepted, type AuditReport, judge } from './audit.ts';

const today = '2026-11-29';
const via = (id: string, name: string) => ({
  ...{ name, title: 'Something may happen', severity: 'high', range: '<1.2.3', source: 1_098_765 },
  url: `https://github.com/advisories/${id}`,
});
/** As npm 11 prints it: what leans on a package that has an advisory is told as well, by its name. */
const report: AuditReport = {
  vulnerabilities: {
    parser: { via: [via('GHSA-aaaa-bbbb-cccc', 'parser'), via('GHSA-dddd-eeee-ffff', 'parser')] },
    server: { via: ['parser'] },
  },
};
const accepted: Accepted = {
  ...{ advisory: 'GHSA-aaaa-bbbb-cccc', package: 'parser' },
  ...{ reason: 'we parse nothing of others', until: '2026-11-29' },
};

test('each advisory counts once, but for what is accepted with a reason and until a day', () => {
  const told = judge(report, [accepted], today);
  expect(told).toMatchObject({
    findings: ['high: parser: Something may happen (https://github.com/advisories/GHSA-dddd-eeee-ffff)'],
    accepted: [expect.stringContaining('we parse nothing of others')],
    inVain: [],
  });
  expect(judge(report, [accepted], '2026-11-30')).toMatchObject({ findings: { length: 2 }, inVain: { length: 1 } });
  expect(judge(report, [{ ...accepted, reason: ' ' }], today)).toMatchObject({ findings: { length: 2 } });
  expect(judge(report, [{ ...accepted, package: 'other' }], today)).toMatchObject({ findings: { length: 2 } });
});

test('nothing known is nothing found, and who does not tell is no pass', () => {
  expect(judge({ vulnerabilities: {} }, [], today)).toMatchObject({ kind: 'told', findings: [] });
  const refused = { message: '405 Method Not Allowed - POST …/advisories/bulk', error: { summary: '' } };
  expect(judge(refused, [], today)).toEqual({ kind: 'unknown', why: refused.message });
  expect(judge({ error: { code: 'ENOTFOUND' } }, [], today)).toEqual({ kind: 'unknown', why: 'ENOTFOUND' });
  expect(judge({}, [accepted], today).kind).toBe('unknown');
});
