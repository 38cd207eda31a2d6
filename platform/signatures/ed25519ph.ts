/**
 * Ed25519ph (RFC 8032, 5.1): what cosign makes with a key of Ed25519 since 2.4, and OpenSSL does, but Node does not let one
 * ask for. Verification only, of public values: nothing here is secret, so that nothing needs constant time.
 *
 * Rule: as Go's crypto/ed25519 decides: S below the order, and R to the byte. The same steps without the prefix are plain
 *   Ed25519, in which the test compares them with OpenSSL.
 */

import { createHash, type KeyObject } from 'node:crypto';

/** The field's prime, the order of the base point, and the curve's constant. */
const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3n;
/** A square root of -1. */
const ROOT = 0x2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0n;

/** In extended coordinates: x = X/Z, y = Y/Z, x * y = T/Z. */
type Point = { readonly X: bigint; readonly Y: bigint; readonly Z: bigint; readonly T: bigint };
const ZERO: Point = { X: 0n, Y: 1n, Z: 1n, T: 0n };
const BASE = pointOf(0x216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51an, (4n * inverse(5n)) % P);

/** `SigEd25519 no Ed25519 collisions`, pre-hashed, no context. */
const PREFIX = Buffer.concat([Buffer.from('SigEd25519 no Ed25519 collisions'), Buffer.of(1, 0)]);

export function verifiesPrehashed(message: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  return verifiesWith(PREFIX, createHash('sha512').update(message).digest(), { key: rawOf(key), signature });
}

/** `prefix`: none for plain Ed25519. */
export function verifiesWith(
  prefix: Uint8Array,
  message: Uint8Array,
  { key, signature }: { readonly key: Uint8Array; readonly signature: Uint8Array },
): boolean {
  if (signature.length !== 64 || key.length !== 32) return false;
  const [R, S] = [signature.subarray(0, 32), numberOf(signature.subarray(32))];
  const A = decoded(key);
  if (A === undefined || S >= ORDER) return false;
  const hash = createHash('sha512').update(prefix).update(R).update(key).update(message).digest();
  const k = numberOf(hash) % ORDER;
  const minusA: Point = { X: P - A.X, Y: A.Y, Z: 1n, T: P - A.T };
  return Buffer.from(R).equals(encoded(sumOfProducts(S, BASE, k, minusA)));
}

function rawOf(key: KeyObject): Uint8Array {
  return Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
}

/** s * B + k * A, both at once. */
function sumOfProducts(s: bigint, B: Point, k: bigint, A: Point): Point {
  const both = sum(A, B);
  let found = ZERO;
  for (let bit = 252n; bit >= 0n; bit--) {
    found = sum(found, found);
    const [inS, inK] = [(s >> bit) & 1n, (k >> bit) & 1n];
    if (inS === 1n) found = sum(found, inK === 1n ? both : B);
    else if (inK === 1n) found = sum(found, A);
  }
  return found;
}

/** Of any two points, the same ones too (RFC 8032, 5.1.4). */
function sum(one: Point, other: Point): Point {
  const a = ((one.Y - one.X) * (other.Y - other.X)) % P;
  const b = ((one.Y + one.X) * (other.Y + other.X)) % P;
  const c = (((2n * one.T * other.T) % P) * D) % P;
  const d = (2n * one.Z * other.Z) % P;
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return { X: (e * f) % P, Y: (g * h) % P, Z: (f * g) % P, T: (e * h) % P };
}

function pointOf(X: bigint, Y: bigint): Point {
  return { X, Y, Z: 1n, T: (X * Y) % P };
}

/** Undefined: it is no point. */
function decoded(bytes: Uint8Array): Point | undefined {
  const number = numberOf(bytes);
  const [y, sign] = [number & (2n ** 255n - 1n), number >> 255n];
  const [u, v] = [positive(y * y - 1n), positive(D * y * y + 1n)];
  // The root of u/v, if there is one, by RFC 8032, 5.1.3.
  const root = (u * v ** 3n * power((u * v ** 7n) % P, (P - 5n) / 8n)) % P;
  const square = positive(v * root * root);
  if (square !== u && square !== positive(-u)) return undefined;
  const x = square === u ? root : (root * ROOT) % P;
  if (x === 0n && sign === 1n) return undefined;
  return pointOf((x & 1n) === sign ? x : P - x, y % P);
}

function encoded({ X, Y, Z }: Point): Buffer {
  const z = inverse(positive(Z));
  const [x, y] = [positive(X * z), positive(Y * z)];
  const hex = (y | ((x & 1n) << 255n)).toString(16).padStart(64, '0');
  return Buffer.from(hex, 'hex').reverse();
}

function numberOf(littleEndian: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`);
}

function positive(number: bigint): bigint {
  const rest = number % P;
  return rest < 0n ? rest + P : rest;
}

function inverse(number: bigint): bigint {
  return power(number, P - 2n);
}

function power(number: bigint, exponent: bigint): bigint {
  let [found, base] = [1n, number % P];
  for (let left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) found = (found * base) % P;
    base = (base * base) % P;
  }
  return found;
}
