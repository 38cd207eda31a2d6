/** Limits of the wire protocol; the codec refuses what exceeds them. docs/protocol.md lists the same. */

export const protocolVersion = 1;
/** Length, type, flags, swarm: 8 bytes before every frame's body. */
export const frameHeaderBytes = 8;
/** A control frame's body: haves of piecesMax as a bit set (128 KiB) fit with room; see frames.ts for each type's own. */
export const frameBodyBytesMax = 192 * 1024;
/** Hashes a frame: 2,048 pieces, the most that a blob of the usual piece length has. */
export const hashesPerFrameMax = 2048;
export const havesPerFrameMax = 8192;
/** Blobs open at once on one link. */
export const swarmsPerLinkMax = 1024;
export const peersPerFrameMax = 32;
/** Pieces wished for at once on one swarm of a link: a few readers, a few pieces ahead of each. */
export const wishesPerFrameMax = 8;
/** How often a wish is passed on: so far that it meets a neighbour of an origin in a swarm of thousands. */
export const wishHopsMax = 2;
export const clusterBytesMax = 64;
export const zoneBytesMax = 64;
export const hostBytesMax = 255;
/** A name, IPv4, IPv6 with a zone. */
export const hostPattern = /^[A-Za-z0-9._:%-]+$/;
export const zonePattern = /^[\x20-\x7e]*$/;
/** What a peer draws at its start, in hex. */
export const nodePattern = /^[0-9a-f]{32}$/;
/** A swarm's number on a link is 16 bits of the frame's header. */
export const swarmNoMax = 0xffff;
/** Grants and edge tokens are 32 bits. */
export const grantMax = 0xffff_ffff;
export const tokenMax = 0xffff_ffff;
/** What `Inbound` may say: 64 GiB on the way is 50 s of a 10 Gbit/s card, more than any window. */
export const inPiecesMax = 1 << 18;
export const inBytesMax = 2 ** 36;
