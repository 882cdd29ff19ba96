/** Types of the browser SDK: what a page calls, with Segment's names on the wire. */

export interface AttuneOptions {
  /** Where the collector answers, such as `https://collect.shop.example`. */
  readonly host: string
  /** Of a source. It is public, and no API key. */
  readonly writeKey: string
  /** `required`: nothing is stored or sent before `grantConsent`. Default `assumed`. */
  readonly consent?: 'assumed' | 'required'
  /** Such as `shop.example`: the anonymous id then is the same on all its subdomains. */
  readonly cookieDomain?: string
  /** `ignore` only where the law does not see a sale or sharing in it. Default `respect`. */
  readonly globalPrivacyControl?: 'respect' | 'ignore'
  /** The time of a call; default: of the browser. */
  readonly now?: () => number
}

/** Values that JSON can write. */
export type Properties = Readonly<Record<string, unknown>>

export interface Calls {
  /** Says that the person did something. */
  track(event: string, properties?: Properties): void
  /** Says that the page was seen. Where, is added. */
  page(name?: string, properties?: Properties): void
  /** Says who the person is; later calls are theirs too, until `reset`. */
  identify(userId: string | number, traits?: Traits): void
  /** Says what is known of a person without a user id. */
  identify(traits: Traits): void
  /** Says that the person belongs to a company, household or team. */
  group(groupId: string | number, traits?: Properties): void
  /** Says that two ids are one person; `previousId` is the anonymous id unless given. */
  alias(userId: string, previousId?: string): void
  /** Begins a new person, as at a logout. What is queued stays theirs who did it. */
  reset(): void
  grantConsent(): void
  /** Removes ids, queue and waiting calls; nothing is kept or sent until consent is granted. */
  withdrawConsent(): void
}

export interface Traits extends Properties {
  readonly email?: string
  readonly name?: string
}

export interface Product extends Properties {
  readonly product_id: string
  readonly sku?: string
  readonly category?: string
  readonly name?: string
  readonly brand?: string
  readonly variant?: string
  /** Of one piece. */
  readonly price?: number
  readonly quantity?: number
  readonly coupon?: string
  readonly position?: number
  readonly url?: string
  readonly image_url?: string
}

/** A product with what surrounds it. */
export interface ProductEvent extends Product {
  readonly cart_id?: string
  /** ISO 4217, such as `GBP`. */
  readonly currency?: string
  readonly value?: number
}

export interface ProductList extends Properties {
  readonly list_id?: string
  readonly category?: string
  readonly products?: readonly Product[]
}

export interface FilteredProductList extends ProductList {
  readonly filters?: readonly { readonly type: string; readonly value: string }[]
  readonly sorts?: readonly { readonly type: string; readonly value: string }[]
}

export interface Promotion extends Properties {
  readonly promotion_id?: string
  readonly creative?: string
  readonly name?: string
  readonly position?: string
}

export interface Cart extends Properties {
  readonly cart_id?: string
  readonly products: readonly Product[]
}

export interface Order extends Properties {
  readonly order_id: string
  readonly checkout_id?: string
  readonly affiliation?: string
  readonly subtotal?: number
  readonly total?: number
  readonly revenue?: number
  readonly shipping?: number
  readonly tax?: number
  readonly discount?: number
  readonly coupon?: string
  readonly currency?: string
  readonly products: readonly Product[]
}

/** Before there is an order, or of one as a whole. */
export interface OrderPart extends Partial<Order> {}

export interface CheckoutStep extends Properties {
  readonly checkout_id?: string
  readonly order_id?: string
  readonly step?: number
  readonly shipping_method?: string
  readonly payment_method?: string
}

export interface Coupon extends Properties {
  readonly order_id?: string
  readonly cart_id?: string
  readonly coupon_id?: string
  readonly coupon_name?: string
  readonly discount?: number
  readonly reason?: string
}

/** One method for each event of Segment's ecommerce spec: `productViewed` is `Product Viewed`. */
export interface Ecommerce {
  productsSearched(properties: { readonly query: string } & Properties): void
  productListViewed(properties: ProductList): void
  productListFiltered(properties: FilteredProductList): void
  promotionViewed(properties: Promotion): void
  promotionClicked(properties: Promotion): void
  productClicked(properties: ProductEvent): void
  productViewed(properties: ProductEvent): void
  productAdded(properties: ProductEvent): void
  productRemoved(properties: ProductEvent): void
  cartViewed(properties: Cart): void
  checkoutStarted(properties: OrderPart): void
  checkoutStepViewed(properties: CheckoutStep): void
  checkoutStepCompleted(properties: CheckoutStep): void
  paymentInfoEntered(properties: CheckoutStep): void
  orderUpdated(properties: Order): void
  orderCompleted(properties: Order): void
  orderRefunded(properties: OrderPart): void
  orderCancelled(properties: OrderPart): void
  couponEntered(properties: Coupon): void
  couponApplied(properties: Coupon): void
  couponDenied(properties: Coupon): void
  couponRemoved(properties: Coupon): void
  productAddedToWishlist(properties: ProductEvent): void
  productRemovedFromWishlist(properties: ProductEvent): void
  wishlistProductAddedToCart(properties: ProductEvent): void
  productShared(properties: ProductEvent): void
  cartShared(properties: Cart): void
  productReviewed(properties: ProductEvent): void
}

export interface Attune extends Calls, Ecommerce {}

/** Why an event was given up, in the `detail` of the event `attune:drop` of the window. */
export interface Drop {
  /**
   * `unreadable`: JSON cannot write it. `too-large`: more than a request may carry. `queue-full`:
   * it was the oldest. `expired`: six days without an answer. `refused`: by the collector.
   */
  readonly reason: 'unreadable' | 'too-large' | 'queue-full' | 'expired' | 'refused'
  readonly messageIds: readonly string[]
}

export function createAttune(options: AttuneOptions): Attune

declare global {
  interface WindowEventMap {
    'attune:drop': CustomEvent<Drop>
  }
}
