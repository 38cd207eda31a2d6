/**
 * What the body of an error says, as far as a message can use it.
 *
 * Rule: a page of HTML says only its title: it is of a proxy, a login or a web server, and no answer of a store.
 */

import { unsaid } from '../../telemetry/unsaid.ts';
import { wordsMax } from './limits.ts';

export function isHtml(contentType: string | undefined, text: string): boolean {
  return /^\s*(text\/html|application\/xhtml)/i.test(contentType ?? '') || /^\s*(<!doctype html|<html)/i.test(text);
}

/** '': nothing. */
export function wordsOf(contentType: string | undefined, text: string): string {
  if (text.trim() === '') return '';
  if (isHtml(contentType, text)) {
    const title = /<title[^>]*>([^<]*)</i.exec(text)?.[1] ?? '';
    return title.trim() === '' ? 'a page of HTML' : `a page of HTML ("${plain(title)}")`;
  }
  return plain(text);
}

/** One line, without control characters. */
function plain(text: string): string {
  return unsaid(text)
    .replace(/[\s\p{C}]+/gu, ' ')
    .trim()
    .slice(0, wordsMax);
}
