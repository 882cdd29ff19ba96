/**
 * Named places at which a test may end the process as a power switch would.
 *
 * Nothing happens at them unless one is armed, by `ATTUNE_FAILPOINT=name:hit`: at that hit of that
 * place the process kills itself with SIGKILL, so that nothing after it runs, on no thread.
 */

import { OperatingError } from './errors.ts'

export const failpointNames = [
  'log-before-commit',
  'log-after-commit',
  'fold-before-commit',
  'fold-after-commit',
  'forward-before-append',
  'forward-after-append',
  'hand-over-before',
  'hand-over-after',
] as const
export type FailpointName = (typeof failpointNames)[number]

export type Failpoint = (name: FailpointName) => void

interface ArmedFailpoint {
  readonly name: FailpointName
  readonly hitCount: number
}

/**
 * Returns the place and the hit that `text` names. Throws CONFIG_INVALID: a typing error would
 * guard nothing.
 */
export function parseFailpoint(text: string): ArmedFailpoint {
  const [name, hit = '1'] = text.split(':')
  const known = failpointNames.find((one) => one === name)
  if (known === undefined || !/^[1-9]\d{0,8}$/.test(hit)) {
    const says = `read ATTUNE_FAILPOINT: NAME:HIT, one of ${failpointNames.join(', ')}`
    throw new OperatingError('CONFIG_INVALID', says)
  }
  return { name: known, hitCount: Number(hit) }
}

/** Returns the function to call at each place; `text` arms one, undefined none. */
export function createFailpoint(text: string | undefined, kill: () => void = killSelf): Failpoint {
  if (text === undefined) return () => {}
  const armed = parseFailpoint(text)
  let left = armed.hitCount
  return (name) => {
    if (name !== armed.name) return
    left--
    if (left === 0) kill()
  }
}

function killSelf(): void {
  process.kill(process.pid, 'SIGKILL')
}
