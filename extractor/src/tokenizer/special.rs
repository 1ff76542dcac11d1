//! Special and added tokens, from the four files that may state them.
//!
//! A token in this list is cut out of the text before the model sees it, and the ones that stand
//! around a sentence come from here too, so one that is missed or is given other properties changes
//! ids. The rules of precedence are those of `transformers` 5: `added_tokens_decoder` in
//! `tokenizer_config.json` where it is there, else `special_tokens_map.json`, `added_tokens.json`
//! and the list in `tokenizer.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::TokenizerError;
use super::defaults::{ROLES, default, has_properties, mask_takes_space, takes_padding};
use super::files::{ADDED, CONFIG, DEFINITION, Files, SPECIAL_MAP};
use super::names::Class;

/// A token as a file states it.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the properties of an added token are flags"
)]
struct Stated {
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    /// Where it is not stated, special tokens are not normalized and others are.
    normalized: Option<bool>,
    special: bool,
    /// A file gives the text alone.
    plain: bool,
}

impl Stated {
    /// A token of which a file says no more than its text.
    fn special(content: &str) -> Self {
        Self {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special: true,
            plain: true,
        }
    }

    /// A string, or an object with `content` and properties.
    fn of(value: &Value) -> Option<Self> {
        if let Some(content) = value.as_str() {
            return Some(Self::special(content));
        }
        let flag = |name: &str| value.get(name).and_then(Value::as_bool);
        Some(Self {
            content: value.get("content")?.as_str()?.to_owned(),
            single_word: flag("single_word").unwrap_or(false),
            lstrip: flag("lstrip").unwrap_or(false),
            rstrip: flag("rstrip").unwrap_or(false),
            normalized: flag("normalized"),
            special: flag("special").unwrap_or(false),
            plain: false,
        })
    }

    fn token(&self, special: bool) -> AddedToken {
        AddedToken::from(self.content.clone(), special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!special))
    }
}

/// A token that a file gives an id.
struct Declared {
    token: Stated,
    file: &'static str,
}

/// More of T5's tokens `<extra_id_...>` than any model has.
const MOST_SENTINELS: i64 = 10_000;

/// The special and added tokens of a checkpoint.
pub(super) struct Special {
    /// By role, those of [`ROLES`] first.
    named: Vec<(String, Stated)>,
    extra: Vec<Stated>,
    declared: BTreeMap<u64, Declared>,
}

impl Special {
    /// Reads them for a class, whose own defaults fill what no file states.
    pub(super) fn of(files: &Files, class: Class) -> Result<Self, TokenizerError> {
        let mut settings = files.config.clone();
        if !truthy(settings.get("extra_special_tokens"))
            && let Some(tokens) = settings.remove("additional_special_tokens")
        {
            settings.insert("extra_special_tokens".to_owned(), tokens);
        }
        let mut own = own_roles(&mut settings);
        let declared = if settings.contains_key("added_tokens_decoder") {
            from_decoder(files)?
        } else {
            merge_map(&mut settings, &files.special);
            own.extend(named_extra(&mut settings));
            from_lists(files, &settings)?
        };
        let named = named(files, class, &settings, &own, &declared)?;
        let extra = extra(files, class, &settings)?;
        Ok(Self {
            named,
            extra,
            declared,
        })
    }

    /// The text of the token in a role, none when it has none.
    pub(super) fn named(&self, role: &str) -> Option<&str> {
        let found = self.named.iter().find(|(name, _)| name == role);
        found.map(|(_, token)| token.content.as_str())
    }

    /// Whether there are special tokens other than those in the usual roles.
    pub(super) fn has_more(&self) -> bool {
        !self.extra.is_empty()
            || self
                .named
                .iter()
                .any(|(role, _)| !ROLES.contains(&role.as_str()))
    }

    /// Whether a file gives the token an id.
    pub(super) fn declares(&self, token: &str) -> bool {
        self.declared
            .values()
            .any(|declared| declared.token.content == token)
    }

    /// All special tokens by their text alone, each once.
    pub(super) fn by_text(&self) -> Vec<AddedToken> {
        let all = self.named.iter().map(|(_, token)| token).chain(&self.extra);
        let mut seen: Vec<&str> = Vec::new();
        for token in all {
            if !seen.contains(&token.content.as_str()) {
                seen.push(&token.content);
            }
        }
        seen.into_iter()
            .map(|content| AddedToken::from(content, true))
            .collect()
    }

    /// A token that a file adds and that counts as a whole word alone.
    pub(super) fn single_word(&self) -> Option<&str> {
        let all = self.declared.values().map(|declared| &declared.token);
        let mut single = all.filter(|token| token.single_word);
        single.next().map(|token| token.content.as_str())
    }

    /// The texts of the tokens that files give ids, in the order of these, and of all special ones.
    pub(super) fn added_texts(&self) -> Vec<String> {
        let declared = self
            .declared
            .values()
            .map(|declared| &declared.token.content);
        let mut texts: Vec<String> = declared.filter(|text| !text.is_empty()).cloned().collect();
        for token in self.by_text() {
            if !texts.contains(&token.content) {
                texts.push(token.content);
            }
        }
        texts
    }

    /// What is to be added, in order, to a tokenizer that has the tokens `there` already.
    pub(super) fn to_add(&self, there: &[String]) -> Vec<AddedToken> {
        let in_role = |token: &Stated| {
            self.named
                .iter()
                .any(|(_, named)| named.content == token.content)
        };
        let declared = self.declared.values().map(|declared| &declared.token);
        let mut added: Vec<&Stated> = declared.collect();
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            let content = &token.content;
            // Of two that differ in their properties the later goes before; one that is the same
            // comes no second time.
            if !there.contains(content) && !self.declares(content) && !added.contains(&token) {
                added.push(token);
            }
        }
        let token = |token: &Stated| token.token(token.special || in_role(token));
        added.into_iter().map(token).collect()
    }

    /// A token whose id in the finished tokenizer is not the one that a file gives it.
    ///
    /// # Errors
    /// Names both files.
    pub(super) fn check_ids(
        &self,
        files: &Files,
        vocabulary: &str,
        id: impl Fn(&str) -> Option<u32>,
    ) -> Result<(), TokenizerError> {
        for (&stated, Declared { token, file }) in &self.declared {
            let found = id(&token.content).map(u64::from);
            if token.content.is_empty() || found == Some(stated) {
                continue;
            }
            let found = found.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let reason = format!(
                "gives the added token {:?} the id {stated}, but with the vocabulary of {vocabulary} its id is {found}; \
                 the two files are not of one tokenizer",
                token.content
            );
            return Err(files.malformed(file, reason));
        }
        Ok(())
    }
}

fn truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
        Some(_) => true,
    }
}

fn is_own_role(name: &str) -> bool {
    name.ends_with("_token") && !ROLES.contains(&name)
}

/// Takes the roles out that only this checkpoint has: `image_token`, or names in
/// `extra_special_tokens`.
fn own_roles(settings: &mut Map<String, Value>) -> Map<String, Value> {
    let names: Vec<String> = settings
        .iter()
        .filter(|(name, value)| is_own_role(name) && value.is_string())
        .map(|(name, _)| name.clone())
        .collect();
    let mut own: Map<String, Value> = names
        .into_iter()
        .filter_map(|name| settings.shift_remove(&name).map(|value| (name, value)))
        .collect();
    own.extend(named_extra(settings));
    own
}

fn named_extra(settings: &mut Map<String, Value>) -> Map<String, Value> {
    if !settings
        .get("extra_special_tokens")
        .is_some_and(Value::is_object)
    {
        return Map::new();
    }
    match settings.shift_remove("extra_special_tokens") {
        Some(Value::Object(named)) => named,
        _ => Map::new(),
    }
}

/// `added_tokens_decoder`: id to token.
fn from_decoder(files: &Files) -> Result<BTreeMap<u64, Declared>, TokenizerError> {
    let bad = |what: &str| files.malformed(CONFIG, format!("added_tokens_decoder: {what}"));
    let decoder = files
        .config
        .get("added_tokens_decoder")
        .and_then(Value::as_object);
    let decoder = decoder.ok_or_else(|| bad("expected an object of id: token"))?;
    let entry = |(id, token): (&String, &Value)| {
        let number = id.parse().map_err(|_| bad(&format!("{id:?} is no id")))?;
        let token = Stated::of(token).filter(|_| token.is_object());
        let token = token.ok_or_else(|| bad(&format!("the token of id {id} has no content")))?;
        Ok((
            number,
            Declared {
                token,
                file: CONFIG,
            },
        ))
    };
    decoder.iter().map(entry).collect()
}

/// `special_tokens_map.json` goes before `tokenizer_config.json`.
fn merge_map(settings: &mut Map<String, Value>, map: &Map<String, Value>) {
    for (name, value) in map {
        let value = match value {
            Value::Object(token) if name != "extra_special_tokens" => {
                let mut token = token.clone();
                token.insert("special".to_owned(), Value::Bool(true));
                Value::Object(token)
            }
            Value::Array(list) if name == "extra_special_tokens" => {
                let before = settings.get(name).and_then(Value::as_array);
                let mut all = before.cloned().unwrap_or_default();
                for token in list {
                    if !all.contains(token) {
                        all.push(token.clone());
                    }
                }
                Value::Array(all)
            }
            other => other.clone(),
        };
        settings.insert(name.clone(), value);
    }
}

/// `added_tokens.json`, and over it the list in `tokenizer.json`.
fn from_lists(
    files: &Files,
    settings: &Map<String, Value>,
) -> Result<BTreeMap<u64, Declared>, TokenizerError> {
    let extra = settings
        .get("extra_special_tokens")
        .and_then(Value::as_array);
    let special: Vec<String> = ROLES
        .iter()
        .filter_map(|role| settings.get(*role))
        .chain(extra.into_iter().flatten())
        // One with properties in `tokenizer_config.json` is not looked at by its text.
        .filter(|value| value.get("__type").is_none())
        .filter_map(|value| Stated::of(value).map(|token| token.content))
        .collect();
    let mut declared = BTreeMap::new();
    for (content, id) in &files.added {
        let id = id.as_u64().ok_or_else(|| {
            files.malformed(
                ADDED,
                format!("the id of {content:?} is {id}; expected a number"),
            )
        })?;
        let special = special.contains(content);
        let token = Stated {
            normalized: Some(!special),
            special,
            plain: false,
            ..Stated::special(content)
        };
        declared.insert(id, Declared { token, file: ADDED });
    }
    let list = files
        .definition
        .as_ref()
        .and_then(|json| json.get("added_tokens"));
    for token in list.and_then(Value::as_array).into_iter().flatten() {
        let (Some(id), Some(token)) = (token.get("id").and_then(Value::as_u64), Stated::of(token))
        else {
            let reason = format!(
                "no tokenizer that is understood: {token} among added_tokens has no id or content"
            );
            return Err(files.malformed(DEFINITION, reason));
        };
        declared.insert(
            id,
            Declared {
                token,
                file: DEFINITION,
            },
        );
    }
    Ok(declared)
}

/// The padding token that `tokenizer.json` names, for the classes that take it.
fn padding<'a>(files: &'a Files, class: Class, role: &str) -> Option<&'a str> {
    if !takes_padding(class) || role != "pad_token" {
        return None;
    }
    files.padding.get("pad_token")?.as_str()
}

fn named(
    files: &Files,
    class: Class,
    settings: &Map<String, Value>,
    own: &Map<String, Value>,
    declared: &BTreeMap<u64, Declared>,
) -> Result<Vec<(String, Stated)>, TokenizerError> {
    let stated = |role: &str, value: &Value| {
        Stated::of(value).ok_or_else(|| {
            let file = if files.special.contains_key(role) {
                SPECIAL_MAP
            } else {
                CONFIG
            };
            files.malformed(file, format!("{role} is {value}; expected a token"))
        })
    };
    let mut named = Vec::new();
    for role in ROLES {
        let mut token = match settings.get(role) {
            Some(Value::Null) => continue,
            Some(value) => {
                let token = stated(role, value)?;
                let same = |other: &&Declared| other.token.content == token.content;
                let declared = declared.values().rev().find(same);
                declared.map_or(token, |declared| declared.token.clone())
            }
            None => match default(class, role).or_else(|| padding(files, class, role)) {
                Some(token) => Stated::special(token),
                None => continue,
            },
        };
        if token.plain && has_properties(class, role) {
            token = Stated {
                lstrip: mask_takes_space(class) && role == "mask_token",
                plain: false,
                special: false,
                ..token
            };
        }
        named.push((role.to_owned(), token));
    }
    let is_token = |value: &Value| value.is_string() || value.is_object();
    let mut others: Map<String, Value> = settings
        .iter()
        .filter(|(name, value)| is_own_role(name) && is_token(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // One that is there keeps its place.
    others.extend(own.clone());
    for (role, value) in &others {
        named.push((role.clone(), stated(role, value)?));
    }
    Ok(named)
}

/// Special tokens without a role.
fn extra(
    files: &Files,
    class: Class,
    settings: &Map<String, Value>,
) -> Result<Vec<Stated>, TokenizerError> {
    let list = settings.get("extra_special_tokens");
    let additional = settings.get("additional_special_tokens");
    if class == Class::T5 {
        let ids = sentinels(files, additional)?;
        if list.is_none() {
            let stated = additional.and_then(Value::as_array).into_iter().flatten();
            let stated: Option<Vec<_>> = stated.map(Stated::of).collect();
            let mut tokens = stated.unwrap_or_default();
            tokens.extend(ids.iter().map(|token| Stated::special(token)));
            return Ok(tokens);
        }
    }
    match list.or(additional) {
        Some(Value::Array(list)) => {
            let tokens = list.iter().map(|value| {
                Stated::of(value)
                    .ok_or_else(|| files.malformed(CONFIG, format!("{value} is no special token")))
            });
            tokens.collect()
        }
        None if class == Class::Camembert => {
            let tokens = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"];
            Ok(tokens.map(Stated::special).into())
        }
        _ => Ok(Vec::new()),
    }
}

/// The tokens `<extra_id_0>`, ... of T5, as many as `extra_ids` says, that `stated` has not already.
///
/// # Errors
/// When `stated` has another number of them.
fn sentinels(files: &Files, stated: Option<&Value>) -> Result<Vec<String>, TokenizerError> {
    let asked = files.config.get("extra_ids");
    let asked = asked.map_or(Some(100), Value::as_i64);
    let Some(asked) = asked.filter(|&asked| asked <= MOST_SENTINELS) else {
        let reason =
            format!("extra_ids is not a whole number of at most {MOST_SENTINELS}; expected 100");
        return Err(files.malformed(CONFIG, reason));
    };
    let stated = stated.and_then(Value::as_array).into_iter().flatten();
    let stated = stated.filter_map(Stated::of);
    let found = stated.filter(|token| token.content.contains("<extra_id_"));
    let found = i64::try_from(found.count()).unwrap_or(i64::MAX);
    if found == 0 {
        return Ok((0..asked).map(|id| format!("<extra_id_{id}>")).collect());
    }
    if asked > 0 && found != asked {
        let reason = format!(
            "extra_ids is {asked}, but additional_special_tokens has {found} tokens <extra_id_...>; expected as many"
        );
        return Err(files.malformed(CONFIG, reason));
    }
    Ok(Vec::new())
}

/// A token that must be in the vocabulary is not.
pub(super) fn not_there(token: &str, size: usize) -> String {
    format!(
        "the special token {token} is not in the vocabulary of {size} tokens; tokenizer_config.json can name another"
    )
}
