/**
 * Routes whose callers send JSON and say that it is something else, or nothing at all: curl without a header, Go's clients,
 * registries that tell of pushes.
 */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';

/** `add` adds routes to a scope of its own, in which every body is read as JSON. */
export function jsonOfAnyType(app: FastifyInstance, add: (scope: FastifyInstance) => void): void {
  app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, parsed) => {
      try {
        parsed(null, JSON.parse(String(body)));
      } catch (error) {
        parsed(new ApiError('REQUEST_INVALID', `the body is no JSON: ${(error as Error).message}`));
      }
    });
    add(scope);
    done();
  });
}
