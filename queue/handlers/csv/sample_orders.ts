/**
 * A sample CSV for trying the service.
 *
 * @module
 */

import { stringify } from "@std/csv";
import { randomFrom } from "../random.ts";

/** Sample orders as CSV, the same for the same seed. Some values are missing. */
export function sampleOrders(rows: number, seed: number): string {
  const random = randomFrom(seed);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)];
  const start = Date.UTC(2025, 0, 1);
  const orders = Array.from({ length: rows }, (_, i) => ({
    order_id: i + 1,
    date: new Date(start + Math.floor(random() * 365) * 86_400_000).toISOString().slice(0, 10),
    product: pick(["Kettle", "Lamp, small", "Desk", "Chair", 'Monitor 27"', "Notebook"]),
    region: random() < 0.03 ? "" : pick(["North", "South", "East", "West"]),
    quantity: 1 + Math.floor(random() * 20),
    unit_price: Math.round((5 + random() * 495) * 100) / 100,
    express: random() < 0.2,
  }));
  return stringify(orders, {
    columns: ["order_id", "date", "product", "region", "quantity", "unit_price", "express"],
  });
}
