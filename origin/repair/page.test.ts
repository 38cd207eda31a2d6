import { expect, test } from 'vitest';
import { healthPage } from './page.ts';

test('what others sent is no markup', () => {
  const page = healthPage(
    'me',
    {
      ...{ phase: 'waits', why: '<script>alert(1)</script>', lacking: { blobs: 2, bytes: 5e6 }, below: 1, unheard: 0 },
      ...{ spare: { blobs: 0, unsafe: 0 }, fetched: { blobs: 0, bytes: 0 }, failed: 0, rate: 0, rateMax: 1e8 },
      others: [{ place: 'b"', url: 'http://b', state: 'silent' }],
    },
    {
      draining: true,
      mayStop: false,
      why: ['1 uploads are open'],
      blobs: 0,
      left: 0,
      leftBytes: 0,
      unlinked: 0,
      uploads: 1,
      owed: 0,
    },
  );
  expect(page).not.toContain('<script>');
  expect(page).toContain('2 blobs, 5.0 MB');
  expect(page).toContain('origin b&#34;');
  expect(page).toContain('1 uploads are open');
});
