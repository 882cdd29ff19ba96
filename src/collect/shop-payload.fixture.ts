/**
 * Payloads in the form that the shop systems publish, with a shop and people of our own: Shopify's
 * REST resources Order, Checkout and Customer (shopify.dev), WooCommerce's REST API documentation
 * (orders, customers), Stripe's API reference (events, checkout sessions).
 */

export const shopifyCustomer = {
  id: 7_001,
  email: 'ada@example.com',
  first_name: 'Ada',
  last_name: 'Byron',
  phone: null,
  created_at: '2026-01-05T09:00:00+01:00',
  updated_at: '2026-11-02T10:00:00+01:00',
  email_marketing_consent: { state: 'subscribed', opt_in_level: 'single_opt_in' },
  default_address: {
    address1: 'Kanalgasse 1',
    city: 'Basel',
    province: null,
    zip: '4051',
    country_code: 'CH',
  },
}

const shopifyLine = {
  id: 91,
  product_id: 501,
  variant_id: 601,
  sku: 'POT-BLUE',
  title: 'Teapot',
  variant_title: 'Blue',
  vendor: 'Kiln',
  price: '24.50',
  quantity: 2,
}

export const shopifyOrder = {
  id: 1_001,
  name: '#1001',
  email: 'ada@example.com',
  contact_email: 'ada@example.com',
  phone: null,
  created_at: '2026-11-02T10:00:00+01:00',
  updated_at: '2026-11-02T11:00:00+01:00',
  cancelled_at: null,
  cancel_reason: null,
  checkout_token: 'c0ffee',
  currency: 'eur',
  financial_status: 'paid',
  total_price: '55.90',
  subtotal_price: '44.00',
  total_tax: '7.02',
  total_discounts: '5.00',
  total_shipping_price_set: {
    shop_money: { amount: '4.88', currency_code: 'EUR' },
    presentment_money: { amount: '4.88', currency_code: 'EUR' },
  },
  discount_codes: [{ code: 'TEA5', amount: '5.00', type: 'fixed_amount' }],
  note_attributes: [{ name: 'attune_anonymous_id', value: 'device-1' }],
  billing_address: { address1: 'Kanalgasse 1', city: 'Basel', zip: '4051', country_code: 'CH' },
  customer: shopifyCustomer,
  line_items: [shopifyLine],
  refunds: [],
}

export const shopifyRefund = {
  id: 3_001,
  order_id: 1_001,
  created_at: '2026-11-02T10:58:00+01:00',
  refund_line_items: [
    { id: 1, quantity: 1, line_item_id: 91, subtotal: 24.5, line_item: shopifyLine },
  ],
  transactions: [
    { id: 1, kind: 'refund', amount: '20.10', currency: 'EUR' },
    { id: 2, kind: 'refund', amount: '4.40', currency: 'EUR' },
    { id: 3, kind: 'void', amount: '99.00', currency: 'EUR' },
    { id: 4, kind: 'refund', amount: '24.50', currency: 'EUR', status: 'failure' },
  ],
}

export const shopifyCheckout = {
  id: 8_001,
  token: 'c0ffee',
  cart_token: 'ca47',
  email: 'ada@example.com',
  created_at: '2026-11-02T09:50:00+01:00',
  updated_at: '2026-11-02T09:55:00+01:00',
  completed_at: null,
  currency: 'EUR',
  total_price: '49.00',
  subtotal_price: '49.00',
  total_tax: '0.00',
  total_discounts: '0.00',
  abandoned_checkout_url: 'https://teapots.example/checkouts/c0ffee/recover?key=1',
  customer: shopifyCustomer,
  line_items: [shopifyLine],
}

export const wooOrder = {
  id: 727,
  number: '727',
  status: 'processing',
  currency: 'USD',
  date_created_gmt: '2026-11-02T09:00:00',
  date_modified_gmt: '2026-11-02T09:10:00',
  date_paid_gmt: '2026-11-02T09:05:00',
  discount_total: '2.00',
  shipping_total: '10.00',
  total: '39.35',
  total_tax: '1.35',
  customer_id: 26,
  payment_url: 'https://teapots.example/pay/727',
  billing: {
    first_name: 'Bob',
    last_name: 'Tinsley',
    address_1: '1 Canal St',
    city: 'Leeds',
    state: '',
    postcode: 'LS1 1AA',
    country: 'GB',
    email: 'bob@example.com',
    phone: '+441130000000',
  },
  coupon_lines: [{ id: 1, code: 'tea2', discount: '2' }],
  meta_data: [
    { id: 1, key: '_something', value: { deep: [1] } },
    { id: 2, key: 'attune_anonymous_id', value: 'device-2' },
  ],
  line_items: [
    {
      id: 315,
      name: 'Cup',
      product_id: 93,
      variation_id: 0,
      quantity: 2,
      sku: 'CUP',
      price: 14,
      subtotal: '28.00',
      total: '28.00',
      image: { id: '11', src: 'https://teapots.example/cup.jpg' },
    },
  ],
}

export const wooCustomer = {
  id: 26,
  email: 'bob@example.com',
  first_name: 'Bob',
  last_name: 'Tinsley',
  date_created_gmt: '2026-01-05T09:00:00',
  date_modified_gmt: '2026-11-02T09:00:00',
  billing: wooOrder.billing,
}

export const stripeSession = {
  id: 'cs_test_1',
  object: 'checkout.session',
  amount_subtotal: 4_400,
  amount_total: 5_590,
  total_details: { amount_discount: 0, amount_shipping: 488, amount_tax: 702 },
  client_reference_id: 'ada',
  currency: 'eur',
  customer: 'cus_1',
  customer_details: { email: 'ada@example.com', name: 'Ada Byron', phone: null },
  customer_email: null,
  metadata: { attune_anonymous_id: 'device-1' },
  payment_intent: 'pi_1',
  payment_status: 'paid',
  status: 'complete',
}

export function stripeEvent(type: string, object: unknown, id = 'evt_1'): unknown {
  return { id, object: 'event', type, created: 1_793_610_000, livemode: true, data: { object } }
}
