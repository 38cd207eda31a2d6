/** Limits of the wire protocol; the codec refuses what exceeds them. */

export const protocolVersion = 1;
/** Type, flags, swarm, length: 8 bytes before every frame's body. */
export const frameHeaderBytes = 8;
/** A control frame's body: 4 MiB of pieces' haves as a bit set of piecesMax (128 KiB) fits with room. */
export const frameBodyBytesMax = 192 * 1024;
/** Hashes a frame: 2,048 pieces, the most that a blob of the usual piece length has. */
export const hashesPerFrameMax = 2048;
export const havesPerFrameMax = 8192;
/** Blobs open at once on one link. */
export const swarmsPerLinkMax = 1024;
export const peersPerFrameMax = 32;
export const clusterBytesMax = 64;
export const zoneBytesMax = 64;
export const hostBytesMax = 255;
