import type { EventRefusalReason } from '../event/parse-event.ts'
import type { PlanFault } from '../event/tracking-plan.ts'
import type { ItemReason } from './adapted-item.ts'

/** Why a whole request is refused. */
export const requestReasons = [
  'body-empty',
  'body-too-large',
  'body-not-inflatable',
  'body-not-utf8',
  'body-not-json',
  'body-not-an-object',
  'batch-missing',
  'batch-empty',
  'batch-too-long',
  'context-invalid',
  'query-invalid',
  'signature-wrong',
] as const
export type RequestReason = (typeof requestReasons)[number]
export type RejectReason = EventRefusalReason | PlanFault['reason'] | RequestReason | ItemReason
