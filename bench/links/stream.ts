/**
 * One TCP stream, to measure what a link gives: `serve PORT` sends to whoever connects as long as they read;
 * `fetch HOST PORT BYTES` reads that many and prints the seconds that it took, from the connection on.
 */

import { connect, createServer, type Socket } from 'node:net';

const chunk = new Uint8Array(256 * 1024);

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'serve') serve(Number(rest[0]));
else if (mode === 'fetch') fetchBytes(rest[0] as string, Number(rest[1]), Number(rest[2]));
else throw new Error('usage: serve PORT | fetch HOST PORT BYTES');

function serve(port: number): void {
  const server = createServer((socket) => {
    const fill = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', fill);
    socket.on('error', () => socket.destroy());
    fill();
  });
  server.listen({ host: '0.0.0.0', port }, () => process.send?.({ ready: true, role: 'stream', ports: { port } }));
  process.on('disconnect', () => process.exit(0));
  process.on('SIGTERM', () => process.exit(0));
}

function fetchBytes(host: string, port: number, bytes: number): void {
  let left = bytes;
  let startedMs = 0;
  const buffer = new Uint8Array(256 * 1024);
  const socket: Socket = connect({
    host,
    port,
    onread: {
      buffer,
      callback: (read) => {
        left -= read;
        if (left > 0) return true;
        process.stdout.write(`${(performance.now() - startedMs) / 1000}\n`);
        socket.destroy();
        return false;
      },
    },
  });
  socket.once('connect', () => {
    startedMs = performance.now();
  });
}
