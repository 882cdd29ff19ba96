import type { BadClass } from './bad-input.ts'
import { bodyClasses } from './body-classes.ts'
import { eventClasses } from './event-classes.ts'
import { httpClasses } from './http-classes.ts'
import { meaningClasses } from './meaning-classes.ts'
import { recommendationClasses } from './recommendation-classes.ts'
import { wayClasses } from './way-classes.ts'

/** All classes of bad input that concern the ways in, and what is asked for most: what to show. */
export const badClasses: readonly BadClass[] = [
  ...bodyClasses,
  ...eventClasses,
  ...httpClasses,
  ...meaningClasses,
  ...wayClasses,
  ...recommendationClasses,
]
