/** Where what nobody needs may be deleted (`delete: true` of a rule, docs/gc.md), and why it may not be elsewhere. */

type Rule = { readonly kind: string; readonly shared: boolean | undefined; readonly readOnly: boolean };

/** Each object has the key that we give it, and is nobody else's under another one. */
const fit: readonly string[] = ['azure', 'file', 'gcs', 'hdfs', 'memory', 's3', 'testfs'];

/** A sentence each. */
export function deletesProblems({ kind, shared, readOnly }: Rule): string[] {
  return [
    ...(shared === true
      ? ['others write to a backend that is `shared`, and may need it: leave out one of the two']
      : []),
    ...(readOnly ? ['nothing is deleted from a backend that is `readOnly`: leave out one of the two'] : []),
    ...(fit.includes(kind)
      ? []
      : [`nothing is deleted from a backend of kind ${kind}, only of ${fit.join(', ')}: leave it out`]),
  ];
}
