/**
 * Azure's answers of XML, as far as they are of use.
 *
 * Rule: what is not of the form that it is to have is undefined, never half of it.
 */

import { XMLParser } from 'fast-xml-parser';
import * as z from 'zod';

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  isArray: (name) => name === 'Blob' || name === 'Block',
});

const whole = z
  .string()
  .regex(/^\d{1,16}$/)
  .transform(Number);
/** A name that XML cannot say is encoded as in a URL. */
const blobName = z.union([
  z.string(),
  z
    .object({ '#text': z.string(), '@Encoded': z.string() })
    .transform((said) => (said['@Encoded'] === 'true' ? decodeURIComponent(said['#text']) : said['#text'])),
]);
/** What has nothing in it is text of spaces, or none. */
const orNothing = <T extends z.ZodType>(of: T) => z.union([of, z.string().transform(() => undefined)]);

const listed = z.object({
  EnumerationResults: z.object({
    Blobs: orNothing(
      z.object({
        Blob: z
          .array(
            z.object({
              Name: blobName,
              Properties: z.object({ 'Content-Length': whole.optional(), ResourceType: z.string().optional() }),
            }),
          )
          .optional(),
      }),
    ).optional(),
    NextMarker: z.string().optional(),
  }),
});
const blocks = z.object({
  BlockList: orNothing(
    z.object({
      UncommittedBlocks: orNothing(
        z.object({ Block: z.array(z.object({ Name: z.string(), Size: whole })).optional() }),
      ),
    }),
  ),
});

/** No tag of Azure's has so many characters; to read one with a megabyte of attributes takes seconds. */
const longTag = /<[^<>]{4096}/;

export type ListedBlobs = { readonly objects: { key: string; size: number }[]; readonly marker: string | undefined };

export function blobsOf(xml: string): ListedBlobs | undefined {
  const found = parsed(listed, xml)?.EnumerationResults;
  if (found === undefined) return undefined;
  const objects: { key: string; size: number }[] = [];
  for (const { Name: key, Properties } of found.Blobs?.Blob ?? []) {
    // Of an account with directories they are listed as well.
    if (Properties.ResourceType === 'directory') continue;
    const { 'Content-Length': size } = Properties;
    if (size === undefined) return undefined;
    objects.push({ key, size });
  }
  return { objects, marker: found.NextMarker === '' ? undefined : found.NextMarker };
}

/** Size by the block's name. */
export function uncommittedOf(xml: string): Map<string, number> | undefined {
  const found = parsed(blocks, xml);
  if (found === undefined) return undefined;
  return new Map((found.BlockList?.UncommittedBlocks?.Block ?? []).map(({ Name, Size }) => [Name, Size]));
}

/** `ids` need no escaping: they are base64. */
export function blockList(ids: readonly string[]): string {
  return `<?xml version="1.0" encoding="utf-8"?><BlockList>${ids.map((id) => `<Latest>${id}</Latest>`).join('')}</BlockList>`;
}

function parsed<T extends z.ZodType>(schema: T, xml: string): z.output<T> | undefined {
  if (longTag.test(xml)) return undefined;
  try {
    const { success, data } = schema.safeParse(parser.parse(xml));
    return success ? data : undefined;
  } catch {
    return undefined;
  }
}
