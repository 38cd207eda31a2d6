/**
 * Request bodies as streams. A blob is never buffered: the parser passes the raw stream on, and the route
 * reads it with `bodyOf` of platform/http/body.ts. Fastify's bodyLimit does not apply here.
 */

import type { FastifyInstance } from 'fastify';

/** Passes every body on as a stream, JSON too: for routes of a scope (`app.register`) that carry blobs. */
export function streamBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
}
