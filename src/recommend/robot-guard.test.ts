import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RobotGuard } from './robot-guard.ts'
import type { Transfer } from './transfer.ts'

const hourMs = 3_600_000
const options = { interactionsPerHourMax: 10, profileCountMax: 3 }

/** Returns how many of `count` interactions are admitted, at instants that `atMs` gives. */
function admitted(
  guard: RobotGuard,
  profileId: string,
  count: number,
  atMs: (nth: number) => number = () => 0,
): number {
  return Array.from({ length: count }, (_, nth) => guard.admits(profileId, atMs(nth))).filter(
    (isAdmitted) => isAdmitted,
  ).length
}

describe('the robot guard', () => {
  it('admits an allowance within each hour, and flags what goes beyond once', () => {
    const guard = new RobotGuard(options)
    equal(admitted(guard, 'r', 25), 10)
    deepStrictEqual([guard.flaggedCount, guard.ignoredCount], [1, 15])
    ok(guard.isFlagged('r', hourMs - 1) && !guard.isFlagged('r', hourMs))
    equal(
      admitted(guard, 'r', 25, () => hourMs),
      10,
    )
    equal(guard.flaggedCount, 2)
    equal(admitted(guard, 'p', 10), 10)
    ok(!guard.isFlagged('p', 0))
  })

  it('counts hours each for itself where events come late', () => {
    for (const hourCount of [2, 3, 4]) {
      const guard = new RobotGuard(options)
      const atMs = (nth: number): number => (nth % hourCount) * hourMs
      equal(admitted(guard, 'r', 100, atMs), 10 * hourCount, `${hourCount} hours in turn`)
      equal(guard.flaggedCount, hourCount)
    }
    // The past of a busy person, hour after hour, is no robot's.
    const guard = new RobotGuard(options)
    admitted(guard, 'p', 1, () => 1_000 * hourMs)
    equal(
      admitted(guard, 'p', 500, (nth) => Math.floor(nth / 5) * hourMs),
      500,
    )
  })

  it('knows a profile until two tables have filled up since it was met', () => {
    const guard = new RobotGuard(options)
    admitted(guard, 'r', 20)
    for (const other of ['a', 'b', 'c']) guard.admits(other, 0)
    ok(guard.isFlagged('r', 0), 'in the older table')
    equal(admitted(guard, 'r', 1), 0)
    for (const other of ['d', 'e', 'f']) guard.admits(other, 0)
    ok(!guard.isFlagged('r', 0))
    equal(admitted(guard, 'r', 20), 10)
    // Who is met again moves to the newer table.
    for (const other of ['g', 'h', 'i', 'j', 'k']) {
      guard.admits('p', 0)
      guard.admits(other, 0)
    }
    equal(admitted(guard, 'p', 20), 5)
  })

  it('forgets who is erased, in both tables', () => {
    const guard = new RobotGuard(options)
    admitted(guard, 'r', 20)
    for (const other of ['a', 'b', 'c']) guard.admits(other, 0)
    guard.forget('r')
    equal(admitted(guard, 'r', 20), 10)
  })

  it('goes on from a snapshot as it was', () => {
    const guard = new RobotGuard(options)
    admitted(guard, 'r', 20)
    for (const other of ['a', 'b', 'c']) admitted(guard, other, 7, (nth) => nth * hourMs)
    const written: unknown[] = []
    guard.transfer(keepIn(written))
    const again = new RobotGuard(options)
    again.transfer(giveFrom(written))
    deepStrictEqual([again.flaggedCount, again.ignoredCount], [1, 10])
    ok(again.isFlagged('r', 0))
    for (const profileId of ['r', 'a', 'c', 'new']) {
      const atMs = (nth: number): number => (5 + (nth % 2)) * hourMs
      equal(admitted(again, profileId, 30, atMs), admitted(guard, profileId, 30, atMs))
    }
  })
})

function keepIn(written: unknown[]): Transfer {
  const keep = <Kept>(value: Kept): Kept => {
    written.push(value)
    return value
  }
  return { number: keep, array: keep, texts: keep }
}

function giveFrom(written: readonly unknown[]): Transfer {
  const rest = [...written]
  // What comes is of the form that was asked for: the order is the same.
  const give = <Given>(_value: Given): Given => rest.shift() as Given
  return { number: give, array: give, texts: give }
}
