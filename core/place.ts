/**
 * Where a host says that it is: `zone`, or `zone/rack`; empty where nobody said. It travels in every address as one text,
 * which who knows no places passes on as it is.
 */

/** Empty: not said. */
export function zoneOf(place: string): string {
  const end = place.indexOf('/');
  return end < 0 ? place : place.slice(0, end);
}

/** Whether what `theirs` sends to a host at `ours` crosses zones. Who does not know its own zone is near to everybody. */
export function isFar(ours: string, theirs: string): boolean {
  if (ours === theirs) return false;
  const zone = zoneOf(ours);
  return zone !== '' && zone !== zoneOf(theirs);
}

/** The place that a configuration names. */
export function hostPlace(zone: string, rack: string): string {
  return rack === '' ? zone : `${zone}/${rack}`;
}

/** How near `theirs` is to `ours`, as far as either says. */
export function distanceOf(ours: string, theirs: string): 'rack' | 'zone' | 'other' | 'unknown' {
  const zone = zoneOf(ours);
  if (zone === '' || zoneOf(theirs) === '') return 'unknown';
  if (zone !== zoneOf(theirs)) return 'other';
  return ours === theirs && ours !== zone ? 'rack' : 'zone';
}
