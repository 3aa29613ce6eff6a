# An answer while somebody is away: once a week to each sender, between two dates.
require ["vacation", "date", "relational"];

if allof (currentdate :value "ge" "date" "2026-12-20",
          currentdate :value "le" "date" "2027-01-06") {
    vacation :days 7 :subject "Fuera de la oficina" text:
Vuelvo el 7 de enero.

I am back on 7 January.
.
;
}
