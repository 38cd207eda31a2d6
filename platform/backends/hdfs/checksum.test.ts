import { expect, test } from 'vitest';
import { HdfsChecksum } from './checksum.ts';
import { crc32c } from './crc32c.ts';

const blockBytes = 1024 * 1024;

function checksum(bytes: Uint8Array, cut: number, crc: 'CRC32' | 'CRC32C' = 'CRC32C') {
  const sum = new HdfsChecksum({ blockBytes, chunkBytes: 512, crc });
  for (let at = 0; at < bytes.length; at += cut) sum.update(bytes.subarray(at, at + cut));
  return sum.digest();
}

test('CRC-32C is that of RFC 3720, however it is cut', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345')))).toBe(0xe3069283);
});

/** As Hadoop 3.4.1 gave them. */
test('checksums are those that HDFS gives: of one block, of several, of a part of one', () => {
  const one = {
    algorithm: 'MD5-of-0MD5-of-512CRC32C',
    bytes: '000002000000000000000000d496686b4d2b5e8b0c8d0c25a613213a',
  };
  expect(checksum(Buffer.from('new'), 2)).toEqual(one);
  const full = {
    algorithm: 'MD5-of-0MD5-of-512CRC32C',
    bytes: '000002000000000000000000467f1e590ef474bd712da3f599a40ebb',
  };
  expect(checksum(Buffer.alloc(blockBytes), 1000)).toEqual(full);
  const two = {
    algorithm: 'MD5-of-2048MD5-of-512CRC32C',
    bytes: '00000200000000000000080054d79db34802dceb599dc6725963dd6f',
  };
  expect(checksum(Buffer.alloc(2 * blockBytes), 70_001)).toEqual(two);
  const more = {
    algorithm: 'MD5-of-2048MD5-of-512CRC32C',
    bytes: '0000020000000000000008003df516ecf47d33c3400e8c11b38cf30e',
  };
  expect(checksum(Buffer.alloc(3 * blockBytes + 700), 333_333)).toEqual(more);
  expect(checksum(Buffer.from('new'), 2, 'CRC32').bytes).not.toBe(one.bytes);
});
