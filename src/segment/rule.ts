/**
 * What a segment rule is. `parse-rule.ts` reads one; docs/reference/segment-rules.md tells of all
 * forms.
 *
 * A rule is a tree. Its leaves are conditions on a trait, on events, on a sequence of events, on
 * consent, on a list, on chance, or on membership of another segment. A condition sees one person
 * and the present instant, so that a rule can be judged again from the log alone.
 */

/**
 * Depth bounds the stack; the count bounds the work of one evaluation. The rest bounds the size of
 * a rule.
 */
export const ruleLimits = {
  levelCountMax: 10,
  conditionCountMax: 200,
  stepCountMax: 10,
  propertyCountMax: 10,
  textLengthMax: 1_000,
  listCountMax: 1_000,
  faultCountMax: 100,
} as const

export type Scalar = string | number | boolean | null

export type TraitTest =
  | { readonly operator: 'is' | 'isNot'; readonly value: Scalar }
  | { readonly operator: 'in' | 'notIn'; readonly value: readonly Scalar[] }
  | { readonly operator: 'exists'; readonly value: boolean }
  | { readonly operator: 'contains'; readonly value: Scalar }
  | { readonly operator: 'startsWith' | 'endsWith'; readonly value: string }
  | { readonly operator: TraitOrder; readonly value: string | number }
  | { readonly operator: 'before' | 'after'; readonly value: string; readonly time: RuleTime }

export type TraitOrder = 'moreThan' | 'atLeast' | 'lessThan' | 'atMost'

/** An instant that a rule names: fixed, or so far from the present. */
export type RuleTime = { readonly atMs: number } | { readonly fromNowMs: number }

export const countOperators = ['atLeast', 'atMost', 'exactly', 'moreThan', 'lessThan'] as const
export interface CountTest {
  readonly operator: (typeof countOperators)[number]
  readonly value: number
}

export interface TraitRule {
  readonly kind: 'trait'
  readonly trait: string
  readonly tests: readonly TraitTest[]
}

export interface PropertyFilter {
  readonly property: string
  readonly tests: readonly TraitTest[]
}

/** Which events are meant. */
export interface EventFilter {
  readonly event: string
  readonly itemId?: string
  readonly valueMin?: number
  readonly properties?: readonly PropertyFilter[]
}

export interface EventRule extends EventFilter {
  readonly kind: 'event'
  readonly tests: readonly CountTest[]
  /** Absent: all time, by the person's totals. */
  readonly windowMs?: number
}

export interface SequenceStep extends EventFilter {
  /** True where the event must not come behind the step before. */
  readonly isAbsent: boolean
  /** How soon behind the step before; absent: at any time. */
  readonly withinMs?: number
}

export interface SequenceRule {
  readonly kind: 'sequence'
  /** The first is not an absent one. */
  readonly steps: readonly SequenceStep[]
  /** `item` or a property: what all events of a match have in common. */
  readonly same?: string
  /** How long ago the first event may be; absent: as far back as activity is retained. */
  readonly windowMs?: number
}

export interface SegmentRule {
  readonly kind: 'segment'
  readonly segment: string
}

export interface ConsentRule {
  readonly kind: 'consent'
  /** A topic that the person has not left; `*` where all mail must be allowed. */
  readonly topic: string
}

export interface ListRule {
  readonly kind: 'list'
  readonly list: string
}

/** People whose place in [0, 100), by a hash of their key and the salt, is in [from, to). */
export interface SplitRule {
  readonly kind: 'split'
  readonly salt: string
  readonly fromPercent: number
  readonly toPercent: number
}

/** Tests of a field of the profile: see profile-field.ts. */
export interface ProfileRule {
  readonly kind: 'profile'
  readonly field: string
  readonly tests: readonly TraitTest[]
}

export type Rule =
  | { readonly kind: 'all' | 'any'; readonly rules: readonly Rule[] }
  | { readonly kind: 'not'; readonly rule: Rule }
  | TraitRule
  | ProfileRule
  | EventRule
  | SequenceRule
  | SegmentRule
  | ConsentRule
  | ListRule
  | SplitRule

/** Yields a rule and all rules in it. */
export function* partsOfRule(rule: Rule): Generator<Rule> {
  yield rule
  if (rule.kind === 'not') yield* partsOfRule(rule.rule)
  if (rule.kind === 'all' || rule.kind === 'any') {
    for (const part of rule.rules) yield* partsOfRule(part)
  }
}

/** Returns the filters of events in a condition. */
export function eventFiltersOf(rule: Rule): readonly EventFilter[] {
  if (rule.kind === 'event') return [rule]
  return rule.kind === 'sequence' ? rule.steps : []
}
