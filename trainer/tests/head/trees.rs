//! Parsers against an independent PyTorch implementation without padding
//! (`fixtures/make_trees.py`): scores, loss, gradients and a hundred training steps; on a device,
//! and as a group.

use shared::heads::TreeScorer;
use tch::{Device, Tensor};
use trainer::activations::Batch;
use trainer::head::{self, AnyHead, Dropout, Head, HeadError};
use trainer::optimiser::{Adam, AdamOptions, clip_gradient_norm};
use trainer::schedule::{Schedule, ScheduleKind};

use super::device::{assert_near, assert_same, on_device};
use super::{Input, TOLERANCE, assert_close, meaningful, options, started, tensors};

const HEADS: [&str; 4] = [
    "adapter-dep",
    "attention-fusion-dep",
    "scalar-mix-dep",
    "last-dep",
];

/// Words, gold heads and relations of a batch.
struct Trees {
    words: Vec<u32>,
    heads: Vec<i64>,
    relations: Vec<i64>,
}

impl Trees {
    fn all() -> Vec<Self> {
        let stored = tensors("trees.safetensors");
        let numbers = |index: usize, name: &str| {
            Vec::<i64>::try_from(&stored[&format!("{index}.{name}")]).unwrap()
        };
        let trees = (0..3).map(|index| Self {
            words: numbers(index, "words")
                .iter()
                .map(|&one| one as u32)
                .collect(),
            heads: numbers(index, "heads"),
            relations: numbers(index, "relations"),
        });
        trees.collect()
    }

    fn told<'b>(&self, batch: Batch<'b>) -> Batch<'b> {
        let batch = batch.with_words(self.words.clone()).unwrap();
        batch.with_heads(self.heads.clone()).unwrap()
    }
}

/// Batches with their trees.
fn all() -> Vec<(Input, Trees)> {
    Input::all().into_iter().zip(Trees::all()).collect()
}

fn scorer(head: &dyn Head) -> TreeScorer {
    let values = |name: &str| {
        let mut parameters = head.parameters().iter();
        let (_, tensor) = parameters.find(|(other, _)| other == name).unwrap();
        Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap()
    };
    let (weight, bias) = (values("parser.words.weight"), values("parser.words.bias"));
    let options = head.options();
    let (parser, classes) = (options.parser.unwrap(), options.classes);
    TreeScorer::new(parser, classes, (&weight, &bias), &values("parser.root"))
}

#[test]
fn scores_are_the_references() {
    let (input, trees) = &all()[0];
    for name in HEADS {
        let (head, fixture) = started(name);
        let scorer = scorer(&*head);
        let kept = head.logits(&trees.told(input.batch())).unwrap();
        assert_eq!(kept.size()[1], scorer.width() as i64, "{name}");
        let tokens = input.offsets[2]..input.offsets[3];
        let firsts = tokens.filter(|&token| trees.words[token] > 0);
        let words: Vec<Vec<f32>> = firsts
            .map(|token| Vec::try_from(kept.get(token as i64)).unwrap())
            .collect();
        let words: Vec<&[f32]> = words.iter().map(Vec::as_slice).collect();
        assert!(words.len() > 3);
        let arcs = Tensor::from_slice(&scorer.arcs(&words)).view_as(&fixture["arcs"]);
        assert_close(&format!("{name}: arcs"), &arcs, &fixture["arcs"]);
        let mut relations = Vec::new();
        for word in &words {
            relations.extend(scorer.relations(word, None));
            for head in &words {
                relations.extend(scorer.relations(word, Some(head)));
            }
        }
        let relations = Tensor::from_slice(&relations).view_as(&fixture["relations"]);
        assert_close(name, &relations, &fixture["relations"]);
    }
}

#[test]
fn loss_and_gradients_are_the_references() {
    let (input, trees) = &all()[0];
    for name in HEADS {
        let (head, fixture) = started(name);
        let batch = trees.told(input.batch());
        let result = head
            .loss_and_gradients(&batch, &trees.relations, None)
            .unwrap();
        let expected = fixture["loss"].double_value(&[]);
        let difference = (result.loss - expected).abs();
        assert!(
            difference <= TOLERANCE * expected,
            "{name}: {}",
            result.loss
        );
        for ((parameter, _), gradient) in head.parameters().iter().zip(&result.gradients) {
            let what = format!("{name}: {parameter}");
            match (gradient, fixture.get(&format!("gradient.{parameter}"))) {
                (Some(gradient), Some(expected)) => assert_close(&what, gradient, expected),
                (None, None) => {}
                (Some(one), None) | (None, Some(one)) => {
                    assert_eq!(one.abs().max().double_value(&[]), 0.0, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_hundred_steps_are_the_references() {
    let all = all();
    for name in HEADS {
        let (head, fixture) = started(name);
        let mut adam = Adam::new(head.parameters(), AdamOptions::default());
        let schedule = Schedule::new(ScheduleKind::OneCycle, 1e-3, 100, None);
        let (mut first, mut last) = (0.0, 0.0);
        for step in 0..100 {
            let (input, trees) = &all[step % 3];
            let batch = trees.told(input.batch());
            let mut result = head
                .loss_and_gradients(&batch, &trees.relations, None)
                .unwrap();
            clip_gradient_norm(&mut result.gradients, 1.0).unwrap();
            let size = schedule.at(step as u64);
            let (rate, beta1) = (size.learning_rate, size.beta1);
            adam.step(head.parameters(), &result.gradients, rate, beta1)
                .unwrap();
            let expected = fixture["losses"].double_value(&[step as i64]);
            let difference = (result.loss - expected).abs();
            assert!(
                difference <= TOLERANCE * expected,
                "{name}, step {step}: {} for {expected}",
                result.loss
            );
            first += if step < 3 { expected } else { 0.0 };
            last += if step > 96 { result.loss } else { 0.0 };
        }
        assert!(last < 0.97 * first, "{name} learns nothing");
        for (parameter, tensor) in head.parameters() {
            let expected = &fixture[&format!("final.{parameter}")];
            let got = meaningful(parameter, tensor);
            if let (Some(got), Some(expected)) = (got, meaningful(parameter, expected)) {
                assert_close(&format!("{name}: final {parameter}"), &got, &expected);
            }
        }
    }
}

#[test]
fn trees_are_the_same_on_a_device() {
    for (input, trees) in &all() {
        for name in HEADS {
            let (device, host) = (trees.told(on_device(input)), trees.told(input.batch()));
            let mut options = options(&format!("{name}.safetensors"));
            if let Some(parser) = &mut options.parser {
                parser.dropout = 0.3;
            }
            let head = head::build(&options, Device::Cpu, 4).unwrap();
            assert_same(name, &*head, &device, &host, &trees.relations);
        }
    }
    // Two sequences of one sentence, whose arcs may go from one to the other.
    let (input, trees) = &all()[0];
    let pool = vec![0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let mut other = Trees {
        heads: trees.heads.clone(),
        words: trees.words.clone(),
        relations: trees.relations.clone(),
    };
    let tokens = input.offsets[2]..input.offsets[4];
    let firsts: Vec<usize> = tokens.filter(|&token| trees.words[token] > 0).collect();
    for (place, &token) in firsts.iter().enumerate() {
        let (head, relation) = match place {
            0 => (-1, 2),
            _ => (firsts[(place * 7) % place] as i64, (place % 5) as i64),
        };
        (other.heads[token], other.relations[token]) = (head, relation);
    }
    for name in HEADS {
        let (head, _) = started(name);
        let pooled = |batch: Batch<'static>| other.told(batch.with_pool(pool.clone()).unwrap());
        let host = Batch::packed(input.rows.clone(), &input.offsets, input.shape, input.dtype);
        let (device, host) = (pooled(on_device(input)), pooled(host.unwrap()));
        assert_same(name, &*head, &device, &host, &other.relations);
    }
}

#[test]
fn parsers_as_one_have_the_losses_and_gradients_of_each_alone() {
    let all = all();
    for ((input, trees), name) in all.iter().cycle().zip(HEADS) {
        let mut options = options(&format!("{name}.safetensors"));
        if let Some(parser) = &mut options.parser {
            parser.dropout = 0.3;
        }
        let heads = [1, 2, 3].map(|seed| head::build(&options, Device::Cpu, seed).unwrap());
        let members: Vec<&AnyHead> = heads.iter().map(|head| &**head).collect();
        let kept = head::grouped(&members).unwrap();
        let kept = kept.logits(&trees.told(on_device(input))).unwrap();
        let parameters = (0..heads[0].parameters().len()).map(|place| {
            let all = heads.iter().map(|head| head.parameters()[place].1.detach());
            let one = Tensor::stack(&all.collect::<Vec<_>>(), 0);
            (
                heads[0].parameters()[place].0.clone(),
                one.set_requires_grad(true),
            )
        });
        let group = head::build_group(&options, Device::Cpu, parameters.collect()).unwrap();
        let dropouts: Vec<Dropout> = (0..3).map(|seed| Dropout::at(seed, 7)).collect();
        let dropout = Some(Dropout::for_group(dropouts.clone()));
        let device = trees.told(on_device(input));
        let learned = group
            .losses_and_gradients(&device, &trees.relations, dropout)
            .unwrap();
        assert_eq!(learned.loss.size(), [3], "{name}");
        for (place, (head, dropout)) in heads.iter().zip(dropouts).enumerate() {
            let batch = trees.told(input.batch());
            let own = head.logits(&batch).unwrap();
            assert_near(name, &kept.get(place as i64), &own, 1e-5);
            let alone = head
                .loss_and_gradients(&batch, &trees.relations, Some(dropout))
                .unwrap();
            let loss = learned.loss.double_value(&[place as i64]);
            assert!(
                (loss - alone.loss).abs() <= 1e-5 * alone.loss,
                "{name}: {loss}"
            );
            let gradients = learned.gradients.iter().zip(&alone.gradients);
            for ((grouped, alone), (parameter, _)) in gradients.zip(head.parameters()) {
                if let (Some(grouped), Some(alone)) = (grouped, alone) {
                    let own = grouped.select(0, place as i64);
                    assert_near(&format!("{name}: {parameter}"), &own, alone, 1e-5);
                } else {
                    assert!(alone.is_none() && group.is_idle(parameter), "{parameter}");
                }
            }
        }
    }
}

#[test]
fn batches_without_trees_are_refused() {
    let (input, trees) = &all()[0];
    let (head, _) = started("last-dep");
    let learn = |batch: &Batch<'_>| {
        let refused = head.loss_and_gradients(batch, &trees.relations, None);
        refused.map(drop).unwrap_err()
    };
    let batch = input.batch().with_words(trees.words.clone()).unwrap();
    assert!(matches!(learn(&batch), HeadError::NoHeads));
    let mut heads = trees.heads.clone();
    let word = (0..heads.len())
        .find(|&token| trees.relations[token] >= 0)
        .unwrap();
    heads[word] = input.offsets[1] as i64 - 1;
    let batch = batch.with_heads(heads).unwrap();
    assert!(matches!(learn(&batch), HeadError::WrongHead { .. }));
    assert!(input.batch().with_heads(vec![-1]).is_err());
}
