"""Meaning of column names, in several languages: a name in, entities and properties out.

An entity has ids (a customer, a product); a property describes it (a date, a price).
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

# Words by entity.
ENTITIES = {
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
# Words by property.
PROPERTIES = {
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
    "region": "region city stadt state bundesland ville ciudad citta",
    "country": "country land pays pais",
}
# Words that denote an id, or have no meaning of their own.
_FILLERS = """id ids no nr number num nbr code key nummer numero cod codigo codice ref identifier
    n of de la du des le per in pro el di da x"""
_ENTITY_BY_WORD = {word: entity for entity, words in ENTITIES.items() for word in words.split()}
_PROPERTY_BY_WORD = {
    word: property_ for property_, words in PROPERTIES.items() for word in words.split()
}
_VOCABULARY = {
    *_ENTITY_BY_WORD,
    *_PROPERTY_BY_WORD,
    *(word for word in _FILLERS.split() if len(word) > 1),
}
_START = {"from", "start", "begin", "von", "ab", "valid", "debut", "inicio", "since"}
_END = {"to", "until", "end", "till", "bis", "fin", "last", "ende"}
# Words for what identifies a person, and words that make a name that of a person.
_PERSONAL_WORDS = """firstname lastname surname forename fullname vorname nachname prenom apellido
    cognome address adresse street strasse rue calle phone telephone telefon mobile fax
    cashier kassierer staff employee mitarbeiter salesperson seller verkaeufer recipient empfaenger
    birthday birthdate geburtstag"""
_PERSONAL = set(_PERSONAL_WORDS.split())
_OF_PERSONS = {
    "first", "last", "given", "family", "full", "middle", "billing", "bill", "shipping", "ship",
    "sold", "contact", "user", "rechnung", "liefer",
}  # fmt: skip


@dataclass(frozen=True)
class NameMeaning:
    """Meaning of a column name.

    Attributes
    ----------
    entities, properties
        Entities and properties that the name mentions, in order.
    boundary
        `first` or `last` for the boundary of a time span, otherwise empty.
    is_personal
        Whether the values are names, addresses or telephone numbers of persons.
    """

    entities: tuple[str, ...]
    properties: tuple[str, ...]
    boundary: str = ""
    is_personal: bool = False


@cache
def interpret_name(name: str) -> NameMeaning:
    """Interpret the words of a column name."""
    words = _words(name)
    # One word for what other names say in two.
    if "".join(words) in ("stockcode", "stockid", "stockno"):
        return NameMeaning(("product",), ())
    boundary = "first" if _START & set(words) else "last" if _END & set(words) else ""
    entities = [_ENTITY_BY_WORD[word] for word in words if word in _ENTITY_BY_WORD]
    properties = [_PROPERTY_BY_WORD[word] for word in words if word in _PROPERTY_BY_WORD]
    if ("stock" in words and len(words) == 1) or {"on", "hand"} <= set(words):
        entities, properties = [], ["on_hand"]
    if "on" in words and "sale" in words:
        entities, properties = [], ["on_sale"]
    if "product" in entities and "line" in properties:
        # A "line item" is a product.
        properties.remove("line")
    if "quantity" in properties:
        # "Unit price" is a price; "unit sales" are units.
        surplus = "quantity" if "price" in properties else "money"
        properties = [property_ for property_ in properties if property_ != surplus]
    if {"sub"} & set(words) and "category" in properties:
        properties = [
            "subcategory" if property_ == "category" else property_ for property_ in properties
        ]
    personal = bool(_PERSONAL & set(words))
    if "name" in properties:
        personal |= "customer" in entities or bool(_OF_PERSONS & set(words))
    return NameMeaning(
        tuple(dict.fromkeys(entities)), tuple(dict.fromkeys(properties)), boundary, personal
    )


def _words(name: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    separated = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", plain)
    words = re.findall(r"[a-z]+", separated.lower())
    return [part for word in words for part in _split_compound(word)]


def _split_compound(word: str) -> list[str]:
    """Split a compound of known words, such as kundennr."""
    if word in _VOCABULARY or len(word) < 5:
        return [word]
    for end in range(len(word) - 2, 2, -1):
        head, tail = word[:end], word[end:]
        if head not in _VOCABULARY:
            continue
        if tail in _VOCABULARY:
            return [head, tail]
        parts = _split_compound(tail)
        if all(part in _VOCABULARY for part in parts):
            return [head, *parts]
    return [word]
