#!/usr/bin/env node
// Takes an index's events (docs/events.md) and says each, once:  node examples/events-receiver.mjs 9000
import { createServer } from 'node:http';

const seen = new Set();
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  for (const { id, action, target } of JSON.parse(body).events) {
    // The same event may come twice.
    if (!seen.has(id))
      console.log(action, target.repository, target.tag ?? target.digest, target.tag ? (target.digest ?? '') : '');
    seen.add(id);
  }
  response.writeHead(200).end();
});
server.listen(Number(process.argv[2] ?? 9000), '127.0.0.1', () => console.log('listening on', server.address().port));
