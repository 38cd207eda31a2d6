/**
 * The log: pino, one line of JSON each on standard output, written before the call returns, so that the
 * last line before a crash is never lost. No global logger: `main.ts` makes one and hands it down.
 */

import { type Logger as PinoLogger, pino } from 'pino';
import { lineHooks } from './unsaid.ts';

export type Logger = PinoLogger;
/** Of it, what most of the product uses: a line, with fields. */
export type LineLog = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};
export type LogOptions = { readonly role: string; readonly level: string; readonly name?: string | undefined };

export function createLog(options: LogOptions): Logger {
  const base = options.name ? { role: options.role, name: options.name } : { role: options.role };
  return pino({
    level: options.level,
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: levelName },
    hooks: lineHooks,
  });
}

/** For tests and tools that want none. */
export function silentLog(): Logger {
  return pino({ level: 'silent' });
}

function levelName(label: string): { level: string } {
  return { level: label };
}
