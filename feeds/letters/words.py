"""What letters say, in English, Russian and Kazakh: sentences, dates, the default channels. Pure.

A language is a tag (RFC 5646) of which the first part counts. What isn't known in it is said in
English. A sentence with `{n}` may have forms: two in English; three in Russian, for 1, 2 to 4 and 5
or more (Unicode CLDR, plural rules); one in Kazakh, where nouns stay as they are after numerals.
"""

# ruff: noqa: RUF001 -- Cyrillic letters are the matter here
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

Day = date | str
"""A day, or text that holds one."""

_ENGLISH = "en"

_WEEKDAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "ru": ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"),
    "kk": ("дүйсенбі", "сейсенбі", "сәрсенбі", "бейсенбі", "жұма", "сенбі", "жексенбі"),
}
_MONTHS = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July",
        "August", "September", "October", "November", "December",
    ),
    "ru": (
        "января", "февраля", "марта", "апреля", "мая", "июня", "июля",
        "августа", "сентября", "октября", "ноября", "декабря",
    ),
    "kk": (
        "қаңтар", "ақпан", "наурыз", "сәуір", "мамыр", "маусым", "шілде",
        "тамыз", "қыркүйек", "қазан", "қараша", "желтоқсан",
    ),
}  # fmt: skip

_TITLES: Mapping[str, tuple[str, str, str]] = {
    "politics": ("Politics", "Политика", "Саясат"),
    "economy": ("Economy", "Экономика", "Экономика"),
    "society": ("Society", "Общество", "Қоғам"),
    "health": ("Health", "Здоровье", "Денсаулық"),
    "education": ("Education", "Образование", "Білім"),
    "science": ("Science and technology", "Наука и технологии", "Ғылым және технология"),
    "environment": ("Environment", "Окружающая среда", "Қоршаған орта"),
    "conflict": ("Conflict and peace", "Конфликты и мир", "Қақтығыс және бейбітшілік"),
    "crime": ("Crime and justice", "Преступность и правосудие", "Қылмыс және сот төрелігі"),
    "disaster": ("Disasters and accidents", "Катастрофы и происшествия", "Апаттар мен оқиғалар"),
    "labour": ("Labour", "Труд", "Еңбек"),
    "sport": ("Sport", "Спорт", "Спорт"),
    "arts": ("Arts and media", "Культура и медиа", "Өнер және медиа"),
    "lifestyle": ("Lifestyle and leisure", "Образ жизни и досуг", "Өмір салты және демалыс"),
    "human-interest": ("Human interest", "Люди и судьбы", "Адамдар мен тағдырлар"),
    "religion": ("Religion", "Религия", "Дін"),
    "weather": ("Weather", "Погода", "Ауа райы"),
    "general": ("Other news", "Другие новости", "Басқа жаңалықтар"),
}
"""The titles of the default channels in the order of `LANGUAGES`."""

WORDS: Mapping[str, Mapping[str, str | tuple[str, ...]]] = {
    "en": {
        # What a letter and its web copy share
        "date": "{day} {month} {year}",
        "day": "{weekday}, {date}",
        "received": "received {date}",
        "edition": "{name} edition",
        "edition_daily": "daily edition",
        "edition_weekly": "weekly edition",
        "edition_hourly": "hourly edition",
        "edition_morning": "morning edition",
        "edition_evening": "evening edition",
        "archive": "From the archive",
        "nothing": "Nothing new since the last edition.",
        "lead": "Top news",
        "contents": "In this edition",
        "source": "Source: {credit}, {date}",
        "unnamed": "not named",
        "undated": "Undated; {date}",
        "also": "Also",
        "note": "From the editor",
        "corrections": "Corrections",
        "changed": "Earlier editions carried these articles; they have changed since.",
        "corrected": "Corrected on {date}",
        "withdrawn": "Withdrawn on {date}",
        "articles": ("{n} article", "{n} articles"),
        "filed": (
            "{n} older article was filed on the web and is not in this edition.",
            "{n} older articles were filed on the web and are not in this edition.",
        ),
        # A letter
        "subject": "{lead} + {n} more",
        "more": "{n} more in {channel} on the web",
        "whole": "Read this edition on the web",
        "elsewhere": "Also on the web",
        "older": (
            "{n} older article was filed on the web and is not in this letter.",
            "{n} older articles were filed on the web and are not in this letter.",
        ),
        "why": "You receive this letter because {email} subscribes to the {edition} of {title}: "
        "{channels}.",
        "every": "all channels",
        "manage": "Choose what you receive",
        "leave": "Unsubscribe",
        "leaving": "This opens a message to us: send it as it is.",
        "manage_text": "To choose what you receive, or to unsubscribe",
        "leaving_text": "To unsubscribe, send a message to {address} with the subject",
        "privacy": "This letter loads no images and tracks nothing: nobody learns whether you open "
        "it or what you follow.",
        # The mail that asks whether a subscription is wanted
        "confirm_subject": "Please confirm your subscription to {title}",
        "confirm_heading": "One more step",
        "confirm_web": "Somebody, we hope you, asked for the newsletter {title} to be sent to "
        "{email}.",
        "confirm_import": "The publisher of {title} would like to send its newsletter to {email} and "
        "asks whether you want it.",
        "confirm_what": "News from: {channels}.",
        "confirm_editions": "You would get: {editions}.",
        "confirm_button": "Yes, subscribe me",
        "confirm_here": "Yes, I want it; confirm here",
        "confirm_by_mail": "The button opens a message to us: send it as it is.",
        "confirm_by_mail_text": "Yes, I want it; to confirm, send a message to {address} with the "
        "subject",
        "confirm_ignore": "If you do not want it, do nothing: without your yes you get no letters.",
        "confirm_privacy": "This message loads no images and tracks nothing.",
    },
    "ru": {
        "date": "{day} {month} {year} г.",
        "day": "{weekday}, {date}",
        "received": "получено {date}",
        "edition": "выпуск «{name}»",
        "edition_daily": "ежедневный выпуск",
        "edition_weekly": "еженедельный выпуск",
        "edition_hourly": "ежечасный выпуск",
        "edition_morning": "утренний выпуск",
        "edition_evening": "вечерний выпуск",
        "archive": "Из архива",
        "nothing": "С прошлого выпуска ничего нового нет.",
        "lead": "Главное",
        "contents": "В этом выпуске",
        "source": "Источник: {credit}, {date}",
        "unnamed": "не указан",
        "undated": "Без даты; {date}",
        "also": "Ещё по теме",
        "note": "От редакции",
        "corrections": "Исправления",
        "changed": "Эти статьи вошли в прошлые выпуски, но с тех пор изменились.",
        "corrected": "Исправлено {date}",
        "withdrawn": "Снято с публикации {date}",
        "articles": ("{n} статья", "{n} статьи", "{n} статей"),
        "filed": (
            "{n} более ранняя статья опубликована на сайте и не вошла в этот выпуск.",
            "{n} более ранние статьи опубликованы на сайте и не вошли в этот выпуск.",
            "{n} более ранних статей опубликовано на сайте и не вошло в этот выпуск.",
        ),
        "subject": "{lead} + ещё {n}",
        "more": (
            "Ещё {n} статья в рубрике «{channel}» на сайте",
            "Ещё {n} статьи в рубрике «{channel}» на сайте",
            "Ещё {n} статей в рубрике «{channel}» на сайте",
        ),
        "whole": "Читать этот выпуск на сайте",
        "elsewhere": "Ещё на сайте",
        "older": (
            "{n} более ранняя статья опубликована на сайте и не вошла в это письмо.",
            "{n} более ранние статьи опубликованы на сайте и не вошли в это письмо.",
            "{n} более ранних статей опубликовано на сайте и не вошло в это письмо.",
        ),
        "why": "Вы получаете это письмо, потому что адрес {email} подписан на рассылку «{title}» "
        "({edition}). Рубрики: {channels}.",
        "every": "все",
        "manage": "Настроить подписку",
        "leave": "Отписаться",
        "leaving": "Откроется письмо к нам: отправьте его, ничего не меняя.",
        "manage_text": "Чтобы настроить подписку или отписаться",
        "leaving_text": "Чтобы отписаться, отправьте письмо на адрес {address} с темой",
        "privacy": "Это письмо не загружает изображений и ни за чем не следит: никто не узнает, "
        "открыли ли вы его и по каким ссылкам перешли.",
        "confirm_subject": "Подтвердите подписку на «{title}»",
        "confirm_heading": "Остался один шаг",
        "confirm_web": "Кто-то (надеемся, вы) оформил подписку на рассылку «{title}» на адрес "
        "{email}.",
        "confirm_import": "Издатель «{title}» хотел бы присылать свою рассылку на адрес {email} и "
        "спрашивает, согласны ли вы.",
        "confirm_what": "Рубрики: {channels}.",
        "confirm_editions": "Вы будете получать: {editions}.",
        "confirm_button": "Да, подписаться",
        "confirm_here": "Да, я хочу получать рассылку; подтвердить можно здесь",
        "confirm_by_mail": "Кнопка откроет письмо к нам: отправьте его, ничего не меняя.",
        "confirm_by_mail_text": "Да, я хочу получать рассылку; для подтверждения отправьте письмо на "
        "адрес {address} с темой",
        "confirm_ignore": "Если рассылка вам не нужна, ничего не делайте: без вашего согласия писем "
        "не будет.",
        "confirm_privacy": "Это сообщение не загружает изображений и ни за чем не следит.",
    },
    "kk": {
        "date": "{year} ж. {day} {month}",
        "day": "{date}, {weekday}",
        "received": "алынған күні {date}",
        "edition": "«{name}» шығарылымы",
        "edition_daily": "күнделікті шығарылым",
        "edition_weekly": "апталық шығарылым",
        "edition_hourly": "сағат сайынғы шығарылым",
        "edition_morning": "таңғы шығарылым",
        "edition_evening": "кешкі шығарылым",
        "archive": "Мұрағаттан",
        "nothing": "Соңғы шығарылымнан бері жаңа хабар жоқ.",
        "lead": "Басты жаңалық",
        "contents": "Осы шығарылымда",
        "source": "Дереккөз: {credit}, {date}",
        "unnamed": "көрсетілмеген",
        "undated": "Күні көрсетілмеген; {date}",
        "also": "Осы тақырыпта",
        "note": "Редакциядан",
        "corrections": "Түзетулер",
        "changed": "Бұл мақалалар бұрынғы шығарылымдарда болған, содан бері өзгерді.",
        "corrected": "{date} күні түзетілді",
        "withdrawn": "{date} күні жарияланымнан алынды",
        "articles": "{n} мақала",
        "filed": "Бұрынғы {n} мақала сайтта жарияланды, бұл шығарылымға кірмеді.",
        "subject": "{lead} + тағы {n}",
        "more": "Сайтта «{channel}» айдарында тағы {n} мақала бар",
        "whole": "Осы шығарылымды сайттан оқу",
        "elsewhere": "Сайтта тағы бар",
        "older": "Бұрынғы {n} мақала сайтта жарияланды, бұл хатқа кірмеді.",
        "why": "Бұл хат сізге {email} мекенжайы «{title}» таратылымына ({edition}) жазылғандықтан "
        "келді. Айдарлар: {channels}.",
        "every": "барлығы",
        "manage": "Жазылымды баптау",
        "leave": "Жазылымнан бас тарту",
        "leaving": "Бізге жазылған хат ашылады: оны өзгертпей жіберіңіз.",
        "manage_text": "Жазылымды баптау немесе одан бас тарту үшін",
        "leaving_text": "Жазылымнан бас тарту үшін {address} мекенжайына мына тақырыппен хат "
        "жіберіңіз",
        "privacy": "Бұл хат сурет жүктемейді және ештеңені бақыламайды: оны ашқаныңызды немесе қай "
        "сілтемеге өткеніңізді ешкім білмейді.",
        "confirm_subject": "«{title}» таратылымына жазылуды растаңыз",
        "confirm_heading": "Тағы бір қадам қалды",
        "confirm_web": "Біреу (сіз деп үміттенеміз) {email} мекенжайын «{title}» таратылымына "
        "жаздырды.",
        "confirm_import": "«{title}» баспагері {email} мекенжайына өз таратылымын жібергісі келеді "
        "және келісіміңізді сұрайды.",
        "confirm_what": "Айдарлар: {channels}.",
        "confirm_editions": "Сізге келетіні: {editions}.",
        "confirm_button": "Иә, жазыламын",
        "confirm_here": "Иә, таратылымды алғым келеді; осы жерде растауға болады",
        "confirm_by_mail": "Түйме бізге жазылған хатты ашады: оны өзгертпей жіберіңіз.",
        "confirm_by_mail_text": "Иә, таратылымды алғым келеді; растау үшін {address} мекенжайына мына "
        "тақырыппен хат жіберіңіз",
        "confirm_ignore": "Таратылым керек болмаса, ештеңе істемеңіз: сіздің келісіміңізсіз хат "
        "келмейді.",
        "confirm_privacy": "Бұл хабар сурет жүктемейді және ештеңені бақыламайды.",
    },
}

LANGUAGES = tuple(WORDS)
"""The languages known, as primary subtags; the first stands in for all others."""


def _russian(n: int) -> int:
    """Return 0 for 1, 21, 31 ..., 1 for 2 to 4, 22 to 24 ..., else 2 (CLDR: one, few, many)."""
    n = abs(n)
    if n % 10 == 1 and n % 100 != 11:  # noqa: PLR2004 -- as the docstring says
        return 0
    return 1 if 2 <= n % 10 <= 4 and not 12 <= n % 100 <= 14 else 2  # noqa: PLR2004 -- likewise


_FORMS: Mapping[str, Callable[[int], int]] = {
    "en": lambda n: int(n != 1),
    "ru": _russian,
}
_FROZEN = re.compile(rf"(received )?(\d{{1,2}}) ({'|'.join(_MONTHS['en'])}) (\d{{4,}})")


@dataclass(frozen=True, slots=True)
class Say:
    """The words of one language. Called with a key and what stands in the sentence, it says it."""

    language: str

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of a key; `n` chooses its form.

        Raises:
            KeyError: no language knows the key, or a value is missing.
        """
        language = self.language if key in WORDS[self.language] else _ENGLISH
        said = WORDS[language][key]
        if not isinstance(said, str):
            said = said[_FORMS[language](int(str(values["n"])))]
        return said.format(**values)

    def date(self, day: Day) -> str:
        """Return a day for people, as `2 January 2026`; `day` may be frozen text of this form.

        Briefs keep their dates in English words, with `received` before them when the digest gave
        none. Other text comes back as it is.
        """
        if not isinstance(day, str):
            month = _MONTHS[self.language][day.month - 1]
            return self("date", day=day.day, month=month, year=day.year)
        found = _FROZEN.fullmatch(day)
        if not found:
            return day
        place = _MONTHS[_ENGLISH].index(found[3])
        said = self(
            "date", day=int(found[2]), month=_MONTHS[self.language][place], year=int(found[4])
        )
        return self("received", date=said) if found[1] else said

    def day(self, slot: Day) -> str:
        """Return the day of a slot (or of a local time), as `Friday, 2 January 2026`."""
        day = datetime.fromisoformat(slot) if isinstance(slot, str) else slot
        said = self("day", weekday=_WEEKDAYS[self.language][day.weekday()], date=self.date(day))
        return said[:1].upper() + said[1:]

    def edition(self, name: str) -> str:
        """Return how an edition is called in a sentence, as `daily edition`."""
        key = f"edition_{name}"
        known = key in WORDS[_ENGLISH]
        return self(key) if known else self("edition", name=name.replace("-", " "))

    def channel(self, slug: str, title: str) -> str:
        """Return a channel's title: that of a default channel in this language, else as given."""
        known = _TITLES.get(slug)
        return known[LANGUAGES.index(self.language)] if known and title == known[0] else title

    def credit(self, names: str) -> str:
        """Return the names of a source; what says that none is named, in this language."""
        return self("unnamed") if names == WORDS[_ENGLISH]["unnamed"] else names


def known(language: str) -> bool:
    """Whether there are words of a language (RFC 5646 tag)."""
    return _primary(language) in WORDS


def say(language: str) -> Say:
    """Return the words of a language (RFC 5646 tag), those of English when it isn't known."""
    primary = _primary(language)
    return Say(primary if primary in WORDS else _ENGLISH)


def day(language: str, slot: Day) -> str:
    """Return the day of a slot for people, as `Friday, 2 January 2026`."""
    return say(language).day(slot)


def _primary(language: str) -> str:
    return language.replace("_", "-").partition("-")[0].lower()
