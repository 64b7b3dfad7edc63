"""What the names of columns say: words of several languages, by what they mean to a retailer.

A column's name in, what it is about (a customer, a product) and what it states of it (a date, a
price) out; used by `roles`.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

# Things that have ids.
THINGS = {
    "customer": """customer cust client kunde kunden kundin member email
        household households hh user shopper loyalty buyer cliente acheteur klant
        visitor consumer who wer patron panelist guest card karte carte tarjeta hshd kd""",
    "order": """order orders invoice invoices basket baskets transaction transactions trans receipt
        receipts bon beleg ticket tickets bill check commande facture pedido factura ordine
        scontrino bestelling bestellung rechnung purchase trip auftrag kassenbon cart txn sale
        vente venta vendita verkauf rechnungs bestell kauf""",
    "product": """product products item items sku skus article articles artikel articulo articolo
        artigo upc ean gtin asin plu material prod produit produits producto productos
        prodotto prodotti produto barcode isbn stockcode ware produkt produkte stock""",
    "location": """store stores shop shops location branch filiale filialen markt outlet site
        warehouse magasin tienda tiendas negozio winkel filial loja""",
    "campaign": "campaign campaigns kampagne campagne campana",
}
# What is stated of a thing.
STATED = {
    "date": """date datetime timestamp time ts dt datum zeit fecha jour tag created when
        when wann zeitpunkt heure hora uhrzeit zeitstempel day dates""",
    "week": "week weeks wk woche semaine semana kw settimana",
    "month": "month monat mois mes mese",
    "quantity": """quantity qty units unit menge anzahl stueck stuck quantite cantidad quantita
        count pieces pcs aantal qte move volume cds quantities qnty quant pieza nb""",
    "price": "price preis prix precio prezzo prijs preco prices einzelpreis stueckpreis",
    "money": """revenue value amount total paid umsatz betrag montant importe totale spend sales
        turnover net gross subtotal bezahlt valor summe bedrag spent dollars euros usd eur gbp
        ca fatturato paye erloes amt amnt ventas ventes""",
    "cost": """cost costs cogs asset einkauf ek margin profit tax vat mwst steuer
        cout costo coste freight fracht shipping versand porto livraison envio tip""",
    "discount": """discount discounts rabatt disc remise descuento sconto rebate korting reduction
        nachlass""",
    "name": """name description desc title label bezeichnung beschreibung libelle designation
        nombre descripcion descrizione nome naam omschrijving titel nom text""",
    "department": "department dept abteilung rayon departamento reparto sparte division",
    "category": """category cat class group gruppe family warengruppe kategorie categoria
        categorie famille aisle section commodity subclass""",
    "subcategory": "subcategory subcat subgroup untergruppe subgruppe type typ",
    "brand": "brand marke marque marca merk manufacturer hersteller",
    "line": "line position pos zeile ligne linea seq sequence lineno linenumber",
    "channel": "channel kanal canal medium",
    "kind": "kind status transactiontype art",
    "on_hand": "inventory onhand bestand lager lagerbestand soh existencias",
    "on_sale": """promo promotion onpromotion promoted deal aktion special onsale
        feature featured display""",
    "region": "region city stadt state bundesland ville ciudad citta country land pays pais",
}
# Say that a thing's id is meant, or nothing.
_FILLERS = """id ids no nr number num nbr code key nummer numero cod codigo codice ref identifier
    n of de la du des le per in pro el di da x"""
_THING_OF = {word: thing for thing, words in THINGS.items() for word in words.split()}
_STATED_OF = {word: said for said, words in STATED.items() for word in words.split()}
_VOCABULARY = {*_THING_OF, *_STATED_OF, *(word for word in _FILLERS.split() if len(word) > 1)}
_START = {"from", "start", "begin", "von", "ab", "valid", "debut", "inicio", "since"}
_END = {"to", "until", "end", "till", "bis", "fin", "last", "ende"}


@dataclass(frozen=True)
class Meaning:
    """What a name says: of which things, what is stated, and whether of a span's end."""

    things: tuple[str, ...]
    stated: tuple[str, ...]
    ends: str = ""  # "first" or "last"
    plain: str = ""  # the name in lower case, letters and digits only


@cache
def meaning(name: str) -> Meaning:
    """Read a column's name."""
    words = _words(name)
    plain = "".join(words)
    # One word for what two would say elsewhere.
    if plain in ("stockcode", "stockid", "stockno"):
        return Meaning(("product",), (), plain=plain)
    ends = "first" if _START & set(words) else "last" if _END & set(words) else ""
    things = [_THING_OF[word] for word in words if word in _THING_OF]
    stated = [_STATED_OF[word] for word in words if word in _STATED_OF]
    if ("stock" in words and len(words) == 1) or {"on", "hand"} <= set(words):
        things, stated = [], ["on_hand"]
    if "on" in words and "sale" in words:
        things, stated = [], ["on_sale"]
    if "product" in things and "line" in stated:
        # A line item is what was bought.
        stated.remove("line")
    if "quantity" in stated:
        # The price of a unit is a price; sales counted in units are units.
        beside = "quantity" if "price" in stated else "money"
        stated = [word for word in stated if word != beside]
    if {"sub"} & set(words) and "category" in stated:
        stated = ["subcategory" if word == "category" else word for word in stated]
    return Meaning(tuple(dict.fromkeys(things)), tuple(dict.fromkeys(stated)), ends, plain)


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", plain)
    words = re.findall(r"[a-z]+", parted.lower())
    return [part for word in words for part in _parts(word)]


def _parts(word: str) -> list[str]:
    """Take a word apart where it is put together of known ones, such as kundennr."""
    if word in _VOCABULARY or len(word) < 5:
        return [word]
    for cut in range(len(word) - 2, 2, -1):
        head, tail = word[:cut], word[cut:]
        if head in _VOCABULARY and tail in _VOCABULARY:
            return [head, tail]
        if head in _VOCABULARY and (rest := _parts(tail)) and all(x in _VOCABULARY for x in rest):
            return [head, *rest]
    return [word]
