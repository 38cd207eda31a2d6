/** The completion curve as an SVG: share of downloads that are complete over time, against the bound. */

import type { SimResult } from './result.ts';

const width = 820;
const height = 420;
const margin = { left: 60, right: 24, top: 40, bottom: 48 };
const colours = ['#0b6e99', '#c2571a', '#5a8f29'];

export function plotOf(results: readonly SimResult[]): string {
  const first = results[0];
  if (first === undefined) return '';
  const endS = niceCeil(Math.max(...results.map((result) => result.maxS || result.virtualS), first.boundS * 1.1));
  const x = (seconds: number): number => margin.left + ((width - margin.left - margin.right) * seconds) / endS;
  const y = (share: number): number => height - margin.bottom - (height - margin.top - margin.bottom) * share;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    '<title>Share of hosts that have the image, over time</title>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${margin.left}" y="22" font-size="15">${first.hosts} hosts, ${(first.bytesPerHost / 1e9).toFixed(2)} GB each: share complete over seconds since the request</text>`,
    ...axes(x, y, endS),
    `<line x1="${x(first.boundS)}" x2="${x(first.boundS)}" y1="${y(0)}" y2="${y(1)}" stroke="#222" stroke-dasharray="5 4"/>`,
    `<text x="${x(first.boundS) - 6}" y="${y(0.5)}" text-anchor="end">bound ${first.boundS.toFixed(2)} s</text>`,
    ...results.flatMap((result, i) => curve(result, { x, y, colour: colours[i % colours.length] as string, row: i })),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

type Scale = (value: number) => number;

function axes(x: Scale, y: Scale, endS: number): string[] {
  const parts: string[] = [];
  for (let tick = 0; tick <= 10; tick += 2) {
    const seconds = (endS * tick) / 10;
    parts.push(`<line x1="${x(seconds)}" x2="${x(seconds)}" y1="${y(0)}" y2="${y(1)}" stroke="#eee"/>`);
    parts.push(`<text x="${x(seconds)}" y="${y(0) + 20}" text-anchor="middle">${round(seconds)} s</text>`);
  }
  for (let share = 0; share <= 1; share += 0.25) {
    parts.push(`<line x1="${x(0)}" x2="${x(endS)}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/>`);
    parts.push(`<text x="${x(0) - 8}" y="${y(share) + 4}" text-anchor="end">${share * 100} %</text>`);
  }
  return parts;
}

function curve(result: SimResult, at: { x: Scale; y: Scale; colour: string; row: number }): string[] {
  const total = result.downloads;
  const step = Math.max(1, Math.floor(result.timesS.length / 400));
  const points: string[] = [`${round(at.x(0))},${round(at.y(0))}`];
  result.timesS.forEach((seconds, i) => {
    if (i % step === 0 || i === result.timesS.length - 1)
      points.push(`${round(at.x(seconds))},${round(at.y((i + 1) / total))}`);
  });
  const label = `${result.policy}: p50 ${result.p50S.toFixed(2)}, p99 ${result.p99S.toFixed(2)} s`;
  const labelY = at.y(0.9) + at.row * 18;
  return [
    `<polyline fill="none" stroke="${at.colour}" stroke-width="2" points="${points.join(' ')}"/>`,
    `<text x="${at.x(0) + 16}" y="${labelY}" fill="${at.colour}">${label}</text>`,
  ];
}

function niceCeil(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const factor of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) if (factor * power >= value) return factor * power;
  return 10 * power;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
