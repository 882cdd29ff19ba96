/**
 * By which way somebody came: read off campaign tags, click ids and the referrer's host.
 *
 * What a link is tagged with counts before the referrer. The forms of `utm_medium` and `utm_source`
 * are those of the default channel groups of Google Analytics 4; here all that is paid is `paid`.
 * A click id is put on a link by the ad platform itself: gclid, gbraid and wbraid by Google Ads,
 * dclid by Display & Video 360, msclkid by Microsoft, ttclid by TikTok, twclid by X, li_fat_id by
 * LinkedIn, yclid by Yandex. Meta puts fbclid on all links that lead out, so it says `social`, and
 * `paid` only together with such a medium.
 */

export const channels = [
  'direct',
  'search',
  'social',
  'email',
  'referral',
  'paid',
  /** Tagged, with none of the forms that are known. */
  'other',
] as const
export type Channel = (typeof channels)[number]

export interface Arrival {
  readonly source?: string | undefined
  readonly medium?: string | undefined
  readonly campaign?: string | undefined
  /** Host from which the person came; absent where it is the site itself. */
  readonly referrer?: string | undefined
}

const paidIds = ['gclid', 'gbraid', 'wbraid', 'dclid', 'msclkid', 'ttclid', 'twclid', 'li_fat_id']
const paidIdsAll: readonly string[] = [...paidIds, 'yclid']
const paidMedium = /^(.*cp.*|ppc|retargeting|paid.*|display|banner|expandable|interstitial)$/
const emailForm = /^e[-_ ]?mail$|^newsletter$/
const socialMedium = /^social([- ](network|media))?$|^sm$/
const referralMedium = /^(referral|affiliates?|link|app)$/
/** Second-level names, whatever the country. */
const searchHost =
  /(^|\.)(google|bing|yahoo|yandex|baidu|duckduckgo|ecosia|qwant|naver|seznam|ask)\.[a-z.]{2,6}$/
const searchHosts: ReadonlySet<string> = new Set([
  ...['startpage.com', 'search.brave.com', 'kagi.com', 'sogou.com', 'so.com', 'daum.net'],
])
const searchName = /^(google|bing|yahoo|yandex|baidu|duckduckgo|ecosia|qwant|naver|seznam)$/
const mailHosts: ReadonlySet<string> = new Set([
  ...['mail.google.com', 'com.google.android.gm', 'mail.yahoo.com', 'outlook.live.com'],
  ...['outlook.office.com', 'outlook.office365.com', 'mail.proton.me', 'mail.ru', 'mail.aol.com'],
  ...['mail.yandex.ru', 'mail.yandex.com', 'gmx.net', 'web.de', 'fastmail.com', 'mail.zoho.com'],
])
const socialHosts: ReadonlySet<string> = new Set([
  ...['facebook.com', 'instagram.com', 'threads.net', 'threads.com', 'twitter.com', 't.co'],
  ...['x.com', 'linkedin.com', 'lnkd.in', 'pinterest.com', 'pin.it', 'reddit.com', 'tiktok.com'],
  ...['youtube.com', 'youtu.be', 'vk.com', 'snapchat.com', 'bsky.app', 'mastodon.social'],
  ...['tumblr.com', 'weibo.com', 'quora.com', 'ok.ru', 't.me', 'wa.me', 'discord.com', 'xing.com'],
])
const socialNames: ReadonlySet<string> = new Set([
  ...['facebook', 'fb', 'instagram', 'ig', 'threads', 'twitter', 'x', 'linkedin', 'pinterest'],
  ...['reddit', 'tiktok', 'youtube', 'vk', 'snapchat', 'bluesky'],
])

/** Returns the channel of an arrival; `hasQuery` tells of the page they came to. Total. */
export function channelOf(
  { source, medium, campaign, referrer }: Arrival,
  hasQuery: (name: string) => boolean,
): Channel {
  const isOf = (form: RegExp): boolean => form.test(medium?.toLowerCase() ?? '')
  const name = source?.toLowerCase() ?? ''
  if (isOf(paidMedium) || paidIdsAll.some(hasQuery)) return 'paid'
  if (source !== undefined || medium !== undefined || campaign !== undefined) {
    if (isOf(emailForm) || emailForm.test(name)) return 'email'
    if (isOf(socialMedium) || socialNames.has(name) || isListed(socialHosts, name)) return 'social'
    if (isOf(/^organic$/) || searchName.test(name) || searchHost.test(name)) return 'search'
    return isOf(referralMedium) ? 'referral' : 'other'
  }
  if (hasQuery('fbclid')) return 'social'
  if (referrer === undefined) return 'direct'
  if (isListed(mailHosts, referrer)) return 'email'
  if (isListed(socialHosts, referrer)) return 'social'
  if (searchHost.test(referrer) || isListed(searchHosts, referrer)) return 'search'
  return 'referral'
}

/** Tells whether the host, or one above it, is listed. */
function isListed(hosts: ReadonlySet<string>, host: string): boolean {
  if (hosts.has(host)) return true
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    if (hosts.has(host.slice(dot + 1))) return true
  }
  return false
}
