/** The few pages that a recipient can meet. No script, no third party, no address on them. */

import type { Message } from '../campaign/message.ts'

/** A transparent GIF of one pixel. */
export const pixelGif = Buffer.from(
  'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7',
  'base64',
)

/** For every answer of tracking: it says who was written to, so nobody keeps it or passes it on. */
export const trackingHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; " +
    "base-uri 'none'; frame-ancestors 'none'",
}

export const pageType = 'text/html; charset=utf-8'

/**
 * Asks before it acts: mail scanners follow every link, and none of them may unsubscribe anybody.
 */
export function confirmPage({ topic }: Pick<Message, 'topic'>): string {
  return page(
    'Unsubscribe',
    `<p>Do you want to stop emails about <strong>${escapeHtml(topic)}</strong>?</p>
<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">Unsubscribe</button></form>`,
  )
}

/** `*` is all mail. */
export function unsubscribedPage({ topic }: Pick<Message, 'topic'>): string {
  const which = topic === '*' ? 'from us' : `about <strong>${escapeHtml(topic)}</strong>`
  return page('You are unsubscribed', `<p role="status">You will get no more emails ${which}.</p>`)
}

export const notFoundPage = page(
  'This link is not valid',
  '<p>It may have been cut or changed. Please open it again from the email itself.</p>',
)

export const laterPage = page(
  'Please try again',
  '<p>This could not be done just now. Please try again in a few seconds.</p>',
)

function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; }
body { margin: 0; }
main { max-width: 32rem; margin: 15vh auto 0; padding: 0 1.5rem; }
button { font: inherit; padding: .75rem 1.5rem; border: 0; border-radius: .25rem;
  background: #1d4f42; color: #fff; cursor: pointer; }
button:focus-visible { outline: 3px solid #e0a030; outline-offset: 2px; }
</style>
</head>
<body><main><h1>${title}</h1>
${content}
</main></body>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
