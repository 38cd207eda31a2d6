import { expect, test } from 'vitest';
import { checkPolicy, defaultPolicy } from '../../core/swarm/policy.ts';
import { swarmShape, tunedPolicy } from './swarm-config.ts';

test('a swarm that nobody tuned has the policy that the simulator measured', () => {
  expect(tunedPolicy(swarmShape().parse(undefined))).toEqual(defaultPolicy);
  expect(tunedPolicy(swarmShape().parse({}))).toEqual(defaultPolicy);
});

test('what is tuned is changed, and nothing else', () => {
  const said = {
    neighbours: { perBlob: 8, perHost: 20 },
    window: { bytes: '4MiB', pieces: 8 },
    grants: { underWay: 3, expire: '2s' },
    readAhead: { min: '1MiB', max: '8MiB' },
    wishes: false,
    stall: '20s',
    hedge: { after: '1s', factor: 4 },
    bans: { first: '30s', most: '10m' },
  };
  const policy = tunedPolicy(swarmShape().parse(said));
  checkPolicy(policy);
  expect(policy).toEqual({
    ...defaultPolicy,
    neighboursPerBlobMax: 8,
    neighboursMax: 20,
    windowBytes: 4 * 2 ** 20,
    windowPieces: 8,
    uplinkTarget: 3,
    uplinkTargetEnd: 3,
    grantExpiryMs: 2_000,
    readWindowBytesMin: 2 ** 20,
    readWindowBytesMax: 8 * 2 ** 20,
    wishes: false,
    stallMs: 20_000,
    hedgeFloorMs: 1_000,
    hedgeFactor: 4,
    banMs: 30_000,
    banMsMax: 600_000,
  });
});

test.each([
  [{ neighbours: { perBlob: 1 } }, 'neighbours.perBlob'],
  [{ neighbours: { perBlob: 247, perHost: 300 } }, 'neighbours.perBlob'],
  [{ neighbours: { perBlob: 65 } }, 'neighbours.perHost'],
  [{ window: { bytes: '1KiB' } }, 'window.bytes'],
  [{ grants: { underWay: 0 } }, 'grants.underWay'],
  [{ readAhead: { min: '512MiB' } }, 'readAhead.max'],
  [{ stall: '0s' }, 'stall'],
  [{ bans: { first: '2h' } }, 'bans.most'],
  [{ neighbors: {} }, ''],
])('%j is refused, and %s is named', (said, at) => {
  const parsed = swarmShape().safeParse(said);
  expect(parsed.error?.issues.map(({ path }) => path.join('.'))).toEqual([at]);
});
