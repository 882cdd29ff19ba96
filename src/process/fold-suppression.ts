import {
  type Suppression,
  type SuppressSkeleton,
  suppressionPrefix,
} from '../delivery/suppression.ts'
import type { LogRecord } from '../log/record.ts'
import { type FoldScope, jsonCodec } from './scope.ts'

export const suppressionCodec = jsonCodec<Suppression>()

/** Sets or lifts the suppression of an address. The first reason for a topic stays. */
export async function foldSuppress(scope: FoldScope, record: LogRecord): Promise<void> {
  const { topic, reason, atMs, isLifted } = record.skeleton as SuppressSkeleton
  const key = suppressionPrefix + record.key
  await scope.view.load([key])
  const suppression = scope.view.read(key, suppressionCodec) ?? {}
  if (isLifted) delete suppression[topic]
  else suppression[topic] ??= { reason, atMs }
  if (Object.keys(suppression).length === 0) scope.view.remove(key)
  else scope.view.write(key, suppression, suppressionCodec)
}
