/**
 * Progress of several transfers: bars on a terminal, now and then a plain line elsewhere.
 *
 * Rule 1: nothing but this writes to the stream while bars are shown; other lines go through `say`.
 * Rule 2: `Progress` decides when to draw, `barLine` how; the second is pure.
 */

import { bytesText, rateText } from './format.ts';

/** Where lines go: standard error or output, or a test's own. */
export type Screen = {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
};

export type Bar = { readonly label: string; readonly total: number; done: number; note: string };

const drawEveryMs = 100;
const plainEveryMs = 2_000;
const barWidthMax = 30;

export class Progress {
  readonly #screen: Screen;
  readonly #nowMs: () => number;
  #bars: Bar[] = [];
  #drawn = 0;
  #beganMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(screen: Screen, nowMs: () => number = () => performance.now()) {
    this.#screen = screen;
    this.#nowMs = nowMs;
  }

  /** Shows these bars until `finish`. */
  begin(bars: readonly { readonly label: string; readonly total: number }[]): Bar[] {
    this.#bars = bars.map((bar) => ({ ...bar, done: 0, note: '' }));
    this.#beganMs = this.#nowMs();
    this.#lastMs = this.#screen.isTTY === true ? Number.NEGATIVE_INFINITY : this.#beganMs;
    return this.#bars;
  }

  /** `bytes` more (or less, after a restart) of a bar. */
  advance(bar: Bar, bytes: number): void {
    bar.done += bytes;
    this.#maybeDraw();
  }

  /** A line of its own, above the bars. */
  say(line: string): void {
    this.#erase();
    this.#screen.write(`${line}\n`);
    if (this.#screen.isTTY === true) this.#draw();
  }

  /** The last state of the bars stays on the screen. */
  finish(): void {
    if (this.#bars.length > 0) this.#draw();
    this.#bars = [];
    this.#drawn = 0;
  }

  #maybeDraw(): void {
    const every = this.#screen.isTTY === true ? drawEveryMs : plainEveryMs;
    if (this.#nowMs() - this.#lastMs >= every) this.#draw();
  }

  #draw(): void {
    this.#erase();
    const seconds = (this.#nowMs() - this.#beganMs) / 1000;
    const width = Math.max(0, ...this.#bars.map((bar) => bar.label.length));
    const terminal = this.#screen.isTTY === true;
    const lines = this.#bars.map((bar) => {
      if (!terminal) return plainLine(bar, seconds);
      return barLine(bar, { seconds, labelWidth: width, columns: this.#screen.columns || 80 });
    });
    if (lines.length > 0) this.#screen.write(`${lines.join('\n')}\n`);
    this.#drawn = terminal ? lines.length : 0;
    this.#lastMs = this.#nowMs();
  }

  #erase(): void {
    if (this.#drawn > 0) this.#screen.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }
}

/** One bar as text, no wider than the terminal. */
export function barLine(bar: Bar, at: { seconds: number; labelWidth: number; columns: number }): string {
  const share = bar.total === 0 ? 1 : Math.max(0, Math.min(1, bar.done / bar.total));
  const tail = ` ${(share * 100).toFixed(0).padStart(3)} %  ${bytesText(bar.done)}  ${speed(bar, at.seconds)}${bar.note}`;
  const head = `${bar.label.padEnd(at.labelWidth)} `;
  const width = Math.min(barWidthMax, Math.max(0, at.columns - head.length - tail.length - 1));
  const full = Math.round(share * width);
  return `${head}${'█'.repeat(full)}${'░'.repeat(width - full)}${tail}`.slice(0, Math.max(0, at.columns - 1));
}

function plainLine(bar: Bar, seconds: number): string {
  const percent = bar.total === 0 ? 100 : Math.floor((bar.done / bar.total) * 100);
  return `${bar.label}: ${percent} %, ${bytesText(bar.done)}, ${speed(bar, seconds)}${bar.note}`;
}

function speed(bar: Bar, seconds: number): string {
  return seconds > 0 ? rateText(bar.done / seconds) : '';
}
