/** What is aimed at, in full size on a quiet machine; stated once. bench/README.md tells where each comes from. */

export type Goal = { readonly is: 'atLeast' | 'atMost'; readonly goal: number; readonly beyond?: number };

const atLeast = (goal: number, beyond?: number): Goal => ({
  is: 'atLeast',
  goal,
  ...(beyond === undefined ? {} : { beyond }),
});
const atMost = (goal: number, beyond?: number): Goal => ({
  is: 'atMost',
  goal,
  ...(beyond === undefined ? {} : { beyond }),
});

export const GOALS: Readonly<Record<string, Goal>> = {
  gcPushP99Ratio: atMost(1.5),
  repairRateRatio: atLeast(0.9),
  repairPullP99Ratio: atMost(1.3),
  ratioToCurl: atLeast(0.8, 1),
  ratioToCurlSha256: atLeast(1.5, 2),
  ratioToCurlReader: atLeast(0.5, 0.6),
  agentCpuSPerGB: atMost(0.65, 0.55),
  agentReaderCpuSPerGB: atMost(0.85, 0.75),
  seederCpuSPerGB: atMost(0.25, 0.2),
  agentCpuOverFloor: atMost(1.15),
  agentReaderCpuOverFloor: atMost(1.15),
  seederCpuOverFloor: atMost(1.15),
  agentRssMiB: atMost(260, 200),
  agentIdleRssMiB: atMost(160, 110),
  firstByteP50Ms: atMost(20, 10),
  firstByteP99Ms: atMost(60, 30),
  tenAgentsMBps: atLeast(1_400, 1_700),
  tenAgentsCpuSPerGB: atMost(1.3, 1.1),
  smallBlobsPerS: atLeast(3_000, 6_000),
  warmRatioToNginx: atLeast(0.7, 1),
  linksMaxOverBound: atMost(1.12, 1.065),
  linksOriginCopies: atMost(1.15),
  linksDuplicatePercent: atMost(1),
  linksReadersMaxOverBound: atMost(1.12, 1.066),
  linksPrefix50OverBound: atMost(0.65, 0.6),
  hostileRatio: atLeast(0.9),
  storeStartS: atMost(10, 5),
  storeBytesPerBlob: atMost(200, 130),
};
