/** Which files are for tests only: test/tidy holds that the product imports none, tools/pack.ts publishes none. */

const TESTS_ONLY = /\.test\.ts$|(^|[/.])fixtures\.ts$|(^|\/)testing\//;

/** `path` from the root, with '/'. */
export const forTestsOnly = (path: string): boolean => TESTS_ONLY.test(path);
