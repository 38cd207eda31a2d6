import { expect, test } from 'vitest';
import { blobsOf, uncommittedOf } from './xml.ts';

const blob = (name: string, more = '<Content-Length>3</Content-Length>', attributes = ''): string =>
  `<Blob><Name${attributes}>${name}</Name><Properties>${more}</Properties></Blob>`;
const list = (blobs: string, next = '<NextMarker />'): string =>
  `<?xml version="1.0"?><EnumerationResults ContainerName="c"><Blobs>${blobs}</Blobs>${next}</EnumerationResults>`;
const keysOf = (xml: string) => blobsOf(xml)?.objects.map(({ key }) => key);

test('names are as they were written: escaped, encoded where XML cannot say them, with spaces around, or as numbers', () => {
  expect(keysOf(list(blob('a&amp;b&lt;c&gt;')))).toEqual(['a&b<c>']);
  expect(keysOf(list(blob('a%01b', undefined, ' Encoded="true"')))).toEqual(['a\u0001b']);
  expect(keysOf(list(blob(' a ') + blob('007') + blob('true')))).toEqual([' a ', '007', 'true']);
});

test('directories of an account with a hierarchy are no objects; no blob at all is an empty page', () => {
  expect(keysOf(list(blob('d', '<ResourceType>directory</ResourceType>') + blob('d/x')))).toEqual(['d/x']);
  expect(blobsOf(list(''))).toEqual({ objects: [], marker: undefined });
  expect(blobsOf(list('\n  ', '<NextMarker>m 1</NextMarker>'))).toEqual({ objects: [], marker: 'm 1' });
  expect(uncommittedOf('<BlockList><UncommittedBlocks /></BlockList>')).toEqual(new Map());
  expect(uncommittedOf('<BlockList />')).toEqual(new Map());
});

test('what is no such list is none', () => {
  for (const xml of [
    '',
    'no XML',
    '<html><body>log in</body></html>',
    '{}',
    list(blob('x', '<Content-Length>-1</Content-Length>')),
    list(blob('x', '<Etag>1</Etag>')),
  ])
    expect(blobsOf(xml), xml).toBeUndefined();
  expect(uncommittedOf('<html/>')).toBeUndefined();
});

test('a tag with a megabyte of attributes is not read at all; a name of that length is', () => {
  const attributes = Array.from({ length: 100_000 }, (_, no) => ` a${no}="1"`).join('');
  expect(blobsOf(list(blob('x', undefined, `${attributes} Encoded="true"`)))).toBeUndefined();
  expect(keysOf(list(blob('x'.repeat(5_000))))).toEqual(['x'.repeat(5_000)]);
});
