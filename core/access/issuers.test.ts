/** Which issuers may be named, and how: whatever would be believed by mistake is refused with its place. */

import { describe, expect, test } from 'vitest';
import { parse } from '../contracts/parse.ts';
import { subjectOfClaims } from './claims.ts';
import { issuersParser } from './issuers.ts';

const right = { issuer: 'https://id.example.org/realms/corp', audience: 'shoal', prefix: '' };
const problemOf = (one: object): string => {
  const read = parse(issuersParser, [one], 'issuers');
  return read.ok ? 'right' : read.problem;
};

describe('an issuer', () => {
  test('has claims by default', () => {
    expect(issuersParser([right])).toEqual([{ ...right, claims: { user: 'sub', groups: 'groups' } }]);
  });

  test.each([
    [{ issuer: 'http://127.0.0.1:8080' }, 'right'],
    [{ issuer: 'http://[::1]/x' }, 'right'],
    [{ issuer: 'http://localhost' }, 'right'],
    [{ issuer: 'kubernetes/serviceaccount', jwks: 'https://10.0.0.1:6443/openid/v1/jwks' }, 'right'],
    [{ issuer: 'kubernetes/serviceaccount' }, '[0].issuer is no https URL'],
    [{ issuer: 'http://id.example.org' }, '[0].issuer is no https URL'],
    [{ issuer: 'http://127.0.0.1.example.org' }, '[0].issuer is no https URL'],
    [{ issuer: 'http://127.0.0.1@example.org' }, '[0].issuer is no https URL'],
    [{ issuer: 'https://user:password@example.org' }, '[0].issuer is no https URL'],
    [{ jwks: 'http://id.example.org/keys' }, '[0].jwks is no https URL'],
    [{ jwks: 'file:///etc/keys' }, '[0].jwks is no https URL'],
    [{ audience: undefined }, '[0].audience is no text'],
    [{ audience: '' }, '[0].audience is no text'],
    [{ prefix: undefined }, '[0].prefix is no text'],
    [{ prefix: 'a b' }, '[0].prefix is no text'],
    [{ ca: '/etc/ca.crt' }, '[0].ca is no PEM'],
    [{ claims: { name: 'sub' } }, '[0].claims.name is not known here'],
    [{ audiences: ['shoal'] }, '[0].audiences is not known here'],
  ])('%j: %s', (more, problem) => {
    expect(problemOf({ ...right, ...more })).toContain(problem);
  });
});

describe('claims', () => {
  const [issuer] = issuersParser([{ ...right, prefix: 'k8s:' }]);
  const subject = (claims: object) => issuer && subjectOfClaims(issuer, { ...claims });

  test('with a prefix name nobody of ours', () => {
    expect(subject({ sub: 'alice', groups: 'dev' })).toEqual({ name: 'k8s:alice', groups: ['k8s:dev'] });
    expect(subject({ sub: 'system:serviceaccount:a:b' })).toEqual({
      name: 'k8s:system:serviceaccount:a:b',
      groups: ['k8s:system:serviceaccounts', 'k8s:system:serviceaccounts:a'],
    });
  });

  test.each([{ sub: '' }, { sub: 7 }, { sub: ['a'] }, { sub: 'a\nb' }, { sub: 'x'.repeat(257) }, {}])(
    '%j name nobody',
    (claims) => {
      expect(subject(claims)).toContain("'sub' is no name");
    },
  );

  test.each([7, {}, [7], ['a', null], ['\u0000']])('groups that are %j are none', (groups) => {
    expect(subject({ sub: 'alice', groups })).toContain("'groups' is no list of names");
  });

  test('are not those of objects in general', () => {
    const [other] = issuersParser([{ ...right, claims: { user: 'constructor.name' } }]);
    expect(other && subjectOfClaims(other, { sub: 'alice' })).toContain('is no name');
  });
});
