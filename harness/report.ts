/** Figures by name, their goals, and the table and JSON that a run prints. */

import { GOALS, type Goal } from './goals.ts';

/** A number, or why there is none. */
export type Figure = number | string;
export type Figures = Readonly<Record<string, Figure>>;

/** One line a figure: its value, what is aimed at, whether it is reached. */
export function tableOf(benchmark: string, figures: Figures): string {
  const rows = Object.entries(figures).map(([name, value]) => {
    const goal = GOALS[name];
    return [`${benchmark} ${name}`, shown(value), goal === undefined ? '' : goalText(goal), verdict(goal, value)];
  });
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function shown(value: Figure): string {
  return typeof value === 'number' ? value.toLocaleString('en', { maximumSignificantDigits: 4 }) : value;
}

function goalText({ is, goal, beyond }: Goal): string {
  return `${is === 'atLeast' ? '>=' : '<='} ${goal}${beyond === undefined ? '' : `, beyond ${beyond}`}`;
}

function verdict(goal: Goal | undefined, value: Figure): string {
  if (goal === undefined || typeof value !== 'number') return '';
  const reaches = (aim: number): boolean => (goal.is === 'atLeast' ? value >= aim : value <= aim);
  if (goal.beyond !== undefined && reaches(goal.beyond)) return 'beyond';
  return reaches(goal.goal) ? 'reached' : 'MISSED';
}
