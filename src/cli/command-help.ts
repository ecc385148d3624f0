// How a command presents itself: its line in --help, and examples, which teach better than options.
import type { Command } from 'commander';

/** Lines for --help: comments in one column, or below their commands where that is too wide. */
export function examples(lines: readonly (readonly [command: string, comment: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const widest = Math.max(...lines.map(([, comment]) => width + comment.length));
  const shown = lines.map(([command, comment]) =>
    widest + EXAMPLE_MARGIN <= HELP_COLUMNS
      ? `  ${command.padEnd(width)}  # ${comment}`
      : `  ${command}\n      ${comment}`,
  );
  return `\nExamples:\n${shown.join('\n')}`;
}

const HELP_COLUMNS = 80;
const EXAMPLE_MARGIN = '    # '.length;

export function addCommand(program: Command, name: string, description: string): Command {
  const command = program.command(name).description(description);
  return command.helpOption('-h, --help', 'show help').option('--verbose', 'explain errors');
}
