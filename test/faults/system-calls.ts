/**
 * Reads what strace writes with `-f -y -ttt`: one call per line, or two where another thread came
 * between.
 */

export interface SystemCall {
  readonly thread: number
  readonly name: string
  /** Path of the file or socket that the first parameter stands for. */
  readonly target: string
  /** Parameters as they are written. */
  readonly text: string
  /** As text; errors with their name. */
  readonly result: string
  /**
   * Place of the line at which it began, and of that at which it had ended: the order strace saw.
   */
  readonly beganAt: number
  readonly endedAt: number
}

const whole = /^(\d+) +[\d.]+ (\w+)\((.*)\) += (.+)$/
const beginning = /^(\d+) +[\d.]+ (\w+)\((.*) <unfinished \.\.\.>$/
const ending = /^(\d+) +[\d.]+ <\.\.\. (\w+) resumed>(.*)\) += (.+)$/

/** Returns the calls of a trace in the order in which they ended. */
export function readTrace(trace: string): readonly SystemCall[] {
  const calls: SystemCall[] = []
  const open = new Map<string, { readonly text: string; readonly beganAt: number }>()
  for (const [at, line] of trace.split('\n').entries()) {
    const begun = beginning.exec(line)
    if (begun !== null) {
      const [, thread = '', , text = ''] = begun
      open.set(thread, { text, beganAt: at })
      continue
    }
    const ended = ending.exec(line)
    const [, thread = '', name = '', text = '', result = ''] = ended ?? whole.exec(line) ?? []
    if (name === '') continue
    const before = ended === null ? undefined : open.get(thread)
    const all = (before?.text ?? '') + text
    calls.push({
      thread: Number(thread),
      name,
      text: all,
      target: /^\d+<([^>]*)>/.exec(all)?.[1] ?? '',
      result,
      beganAt: before?.beganAt ?? at,
      endedAt: at,
    })
  }
  return calls
}
