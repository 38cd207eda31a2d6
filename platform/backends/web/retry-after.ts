/** When a server wants to be asked again. */

/** Milliseconds; a date is compared with the server's own clock, where it tells that. undefined: it does not say. */
export function retryAfterMs(headers: Readonly<Record<string, string | undefined>>): number | undefined {
  const said = headers['retry-after']?.trim();
  if (said === undefined || said === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(said)) return Math.round(Number(said) * 1000);
  const at = Date.parse(said);
  if (Number.isNaN(at)) return undefined;
  const server = Date.parse(headers['date'] ?? '');
  return Math.max(0, at - (Number.isNaN(server) ? Date.now() : server));
}
