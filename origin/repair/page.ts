/** The page that an operator opens in a browser: what this origin lacks, how far it is with it, whether it may be switched off. */

import type { DrainState } from '../../core/contracts/drain.ts';
import type { RepairState } from '../../core/contracts/origin-repair.ts';

/** How often it asks again, seconds. */
const refreshS = 5;

export function healthPage(self: string, repair: RepairState, drain: DrainState): string {
  const { phase, why, lacking, below, unheard, spare, fetched, failed, rate, rateMax, leftMs, comparedMsAgo } = repair;
  const rows: [string, string][] = [
    ['state', why === undefined ? phase : `${phase}: ${why}`],
    ['lacking here', `${lacking.blobs} blobs, ${megabytes(lacking.bytes)}`],
    ['left', leftMs === undefined ? 'nothing, or not known' : seconds(leftMs)],
    ['rate', `${megabytes(rate)}/s of ${megabytes(rateMax)}/s`],
    ['here, and lacking at another owner', `${below} blobs`],
    ['here, and another owner does not answer', `${unheard} blobs`],
    ['here, and only others own them', `${spare.blobs} blobs, ${spare.unsafe} of them not on all owners`],
    ['fetched since the start', `${fetched.blobs} blobs, ${megabytes(fetched.bytes)}; ${failed} in vain`],
    ['compared with all others', comparedMsAgo === undefined ? 'not yet' : `${seconds(comparedMsAgo)} ago`],
    ...repair.others.map(({ place, url, state }): [string, string] => [`origin ${place}`, `${url}: ${state}`]),
    ['drained', drain.draining ? (drain.mayStop ? 'may be switched off' : drain.why.join('; ')) : 'no'],
  ];
  const body = rows.map(([name, value]) => `<tr><th>${safe(name)}</th><td>${safe(value)}</td></tr>`).join('\n');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="${refreshS}"><title>Shoal origin ${safe(self)}</title>
<style>body{font-family:sans-serif;margin:2em}th{text-align:left;padding-right:2em;font-weight:normal;color:#555}</style></head>
<body><h1>Origin ${safe(self)}</h1>
<table>
${body}
</table></body></html>
`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function seconds(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}

/** What others sent is text, and nothing else. */
function safe(text: string): string {
  return text.replaceAll(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}
