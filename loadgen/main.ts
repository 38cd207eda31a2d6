/** `npm run loadgen -- sim …`: the load harness. Each sub-command is in its own folder. */

import { Command } from 'commander';
import { exitOnSignals } from '../harness/at-exit.ts';
import { heedOutput } from '../platform/lifecycle/output.ts';
import { announceCommand } from './announce/options.ts';
import { attackCommand } from './attack/options.ts';
import { calibrateCommand } from './calibrate/options.ts';
import { fuzzCommand } from './fuzz/options.ts';
import { linCommand } from './lin/options.ts';
import { liveCommand } from './live/options.ts';
import { pullCommand } from './pull/options.ts';
import { restartCommand } from './restart/options.ts';
import { runSimCommand } from './sim/command.ts';
import { simCommand } from './sim/options.ts';
import { tagsCommand } from './tags/options.ts';

const program = new Command('loadgen')
  .description(
    'load on Shoal: in virtual time (sim, restart), with faults (fuzz), on real sockets (live, announce, pull), against every port (attack), on real index processes (lin, tags), against real links (calibrate)',
  )
  .addCommand(simCommand(runSimCommand))
  .addCommand(fuzzCommand(async (options) => (await import('./fuzz/command.ts')).runFuzzCommand(options)))
  .addCommand(announceCommand(async (options) => (await import('./announce/command.ts')).runAnnounceCommand(options)))
  .addCommand(attackCommand(async (options) => (await import('./attack/command.ts')).runAttackCommand(options)))
  .addCommand(linCommand(async (options) => (await import('./lin/command.ts')).runLinCommand(options)))
  .addCommand(liveCommand(async (options) => (await import('./live/command.ts')).runLiveCommand(options)))
  .addCommand(restartCommand(async (options) => (await import('./restart/command.ts')).runRestartCommand(options)))
  .addCommand(tagsCommand(async (options) => (await import('./tags/command.ts')).runTagsCommand(options)))
  .addCommand(pullCommand(async (options) => (await import('./pull/command.ts')).runPullCommand(options)))
  .addCommand(
    calibrateCommand(async (options) => (await import('./calibrate/command.ts')).runCalibrateCommand(options)),
  );

// A simulation never comes back to its event loop: there a signal ends the process as it always does.
program.hook('preAction', (_, command) => {
  if (command.name() !== 'sim' && command.name() !== 'restart') exitOnSignals();
});
heedOutput().mustFinish();
await program.parseAsync();
