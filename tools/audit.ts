/**
 * `node tools/audit.ts`: what npm knows against the packages that the product runs with, but for what `.ci/audit.json` accepts:
 * `[{ "advisory": "GHSA-…", "package": "name", "reason": "why it does no harm here", "until": "2027-01-31" }]`.
 *
 * Rule 1: exit code 0 where there is nothing else, 1 where there is, and 75 where the registry did not tell: who could not ask has
 *         not passed.
 * Rule 2: what is accepted has a reason and an end; after that it counts again. What accepts nothing any more is told.
 */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';

type Via = { readonly name?: string; readonly title?: string; readonly url?: string; readonly severity?: string };
/** As npm prints it (auditReportVersion 2); without `vulnerabilities` it is an error of the registry's. */
export type AuditReport = {
  readonly vulnerabilities?: Readonly<Record<string, { readonly via: readonly (Via | string)[] }>>;
  readonly message?: string;
  readonly error?: { readonly code?: string; readonly summary?: string };
};
export type Accepted = {
  readonly advisory: string;
  readonly package: string;
  readonly reason: string;
  readonly until: string;
};
export type Verdict =
  | { readonly kind: 'unknown'; readonly why: string }
  | {
      readonly kind: 'told';
      readonly findings: readonly string[];
      readonly accepted: readonly string[];
      readonly inVain: readonly string[];
    };

/** `today`: as 2026-11-29. */
export function judge(report: AuditReport, accepted: readonly Accepted[], today: string): Verdict {
  const { vulnerabilities, message, error } = report;
  if (vulnerabilities === undefined)
    return { kind: 'unknown', why: message || error?.summary || error?.code || 'npm said nothing of packages' };
  const advisories = new Map<string, Via>();
  for (const { via } of Object.values(vulnerabilities))
    for (const one of via) if (typeof one !== 'string') advisories.set(`${idOf(one)} ${one.name}`, one);
  const open = accepted.filter(({ reason, until }) => reason.trim() !== '' && until >= today);
  const accepts = (one: Via): Accepted | undefined =>
    open.find(({ advisory, package: name }) => advisory === idOf(one) && name === one.name);
  const all = [...advisories.values()];
  const line = (one: Via): string => `${one.severity}: ${one.name}: ${one.title} (${one.url})`;
  return {
    kind: 'told',
    findings: all.filter((one) => accepts(one) === undefined).map(line),
    accepted: all.flatMap((one) => {
      const by = accepts(one);
      return by === undefined ? [] : [`${line(one)}: accepted until ${by.until}: ${by.reason}`];
    }),
    inVain: accepted
      .filter((one) => !all.some((found) => accepts(found) === one))
      .map(({ advisory, package: name, until }) => `${advisory} of ${name}, until ${until}: accepts nothing`),
  };
}

const idOf = ({ url = '' }: Via): string => url.slice(url.lastIndexOf('/') + 1);

const asksMs = 120_000;
const outputBytesMax = 64 * 1024 * 1024;
/** Of sysexits.h: to be tried another time. */
const notNow = 75;

/** npm exits 1 where it found something. */
function ask(): Promise<AuditReport> {
  const options = { timeout: asksMs, maxBuffer: outputBytesMax };
  return new Promise((resolve) => {
    execFile('npm', ['audit', '--omit=dev', '--json'], options, (error, stdout) => {
      try {
        resolve(JSON.parse(stdout) as AuditReport);
      } catch {
        resolve({ message: `npm did not answer: ${error?.message ?? 'no JSON'}` });
      }
    });
  });
}

if (import.meta.main) {
  const file = new URL('../.ci/audit.json', import.meta.url);
  const accepted = JSON.parse(await readFile(file, 'utf8')) as Accepted[];
  const verdict = judge(await ask(), accepted, new Date().toISOString().slice(0, 10));
  if (verdict.kind === 'unknown') {
    process.stdout.write(`skipped: the registry did not tell: ${verdict.why}\n`);
    process.exitCode = notNow;
  } else {
    const { findings, accepted: known, inVain } = verdict;
    for (const line of [...findings, ...known, ...inVain]) process.stdout.write(`${line}\n`);
    process.stdout.write(`${findings.length} findings, ${known.length} accepted\n`);
    if (findings.length > 0) process.exitCode = 1;
  }
}
