/** Runs `work` for 0 to `count` - 1, `lanes` of them at a time. */
export async function together(lanes: number, count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
