import { expect, test } from 'vitest';
import { mostReplicas, type ReplicaRules, replicasAmong, replicasIn } from './replicas.ts';

const rules: ReplicaRules = {
  default: 2,
  rules: [
    { repositories: ['prod/**'], replicas: 3 },
    { repositories: ['scratch/*', 'tmp'], replicas: 1 },
    { repositories: ['**/big'], replicas: 5 },
  ],
};

test.each([
  ['prod/a/big', 3],
  ['scratch/a', 1],
  ['scratch/a/b', 2],
  ['tmp', 1],
  ['team/big', 5],
  ['other', 2],
] as const)('what is pushed into %s is to lie on %i', (repo, replicas) => {
  expect(replicasIn(rules, repo)).toBe(replicas);
});

test('what several repositories have gets the most of theirs, what none has nothing of the rules', () => {
  expect(replicasAmong(rules, ['scratch/a', 'tmp'])).toBe(1);
  expect(replicasAmong(rules, ['scratch/a', 'other'])).toBe(2);
  expect(replicasAmong(rules, ['scratch/a', 'prod/x', 'other'])).toBe(3);
  expect(replicasAmong(rules, [])).toBeUndefined();
  expect(mostReplicas(rules)).toBe(5);
});
